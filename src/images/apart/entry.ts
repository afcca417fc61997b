/** Where the compiled entry of a decoding process lies. */
export const ENTRY = new URL('./process.js', import.meta.url);
