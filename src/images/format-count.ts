/** A whole number for people, with a comma between thousands: `12,288`. */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US');
}
