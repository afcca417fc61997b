/** Types of stored-zip.mjs for the tests; the documentation is there. */
export type Entry = {
  name: string;
  data: Uint8Array;
  extra?: Uint8Array;
  flags?: number;
  method?: number;
  listed?: { name?: string; size?: number; compressedSize?: number; header?: number; disk?: number };
  local?: { name?: string; size?: number };
};

export function storedZip(
  entries: readonly Entry[],
  options?: { zip64?: boolean; comment?: Uint8Array; count?: number },
): Buffer;
