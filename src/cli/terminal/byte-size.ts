/** Sizes of files as people read them. */

const UNITS = ['bytes', 'kB', 'MB', 'GB', 'TB'];

/** `19980789` as `20.0 MB`: decimal units, as file managers and download pages use them. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}
