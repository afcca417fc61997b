/**
 * Writes zip files without compression, as PyTorch does, and wrong in one place where that is wanted: for tests and for fuzzing of the reader of
 * checkpoints.
 */

const UTF8_NAMES = 0x0800;

/**
 * @typedef {{ name: string, data: Uint8Array, extra?: Uint8Array, flags?: number, method?: number, listed?: { name?: string, size?: number,
 *   compressedSize?: number, header?: number, disk?: number }, local?: { name?: string, size?: number } }} Entry
 */

/**
 * The bytes of an archive.
 *
 * @param {readonly Entry[]} entries `extra` is the extra field of the local header; `listed` and `local` change what the directory and the local
 *   header say
 * @param {{ zip64?: boolean, comment?: Uint8Array, count?: number }} options `zip64` writes all sizes and positions in 64 bits; `count`
 *   changes the number of entries in the end record
 */
export function storedZip(entries, { zip64 = false, comment = new Uint8Array(), count = entries.length } = {}) {
  /** @type {Buffer[]} */
  const parts = [];
  /** @type {Buffer[]} */
  const directory = [];
  let position = 0;
  for (const entry of entries) {
    const header = localHeader(entry, zip64);
    directory.push(directoryEntry(entry, position, zip64));
    parts.push(header, Buffer.from(entry.data));
    position += header.length + entry.data.length;
  }
  const table = Buffer.concat(directory);
  parts.push(table, ...endRecords(table.length, position, count, zip64), endComment(comment));
  return Buffer.concat(parts);
}

/** @param {Entry} entry @param {boolean} zip64 */
function localHeader({ name, data, extra = new Uint8Array(), flags = 0, method = 0, local = {} }, zip64) {
  const nameBytes = Buffer.from(local.name ?? name);
  const size = local.size ?? data.length;
  const extras = zip64 ? Buffer.concat([zip64Field([size, size]), extra]) : Buffer.from(extra);
  const header = Buffer.alloc(30);
  header.writeUInt32LE(0x04034b50, 0);
  header.writeUInt16LE(zip64 ? 45 : 20, 4);
  header.writeUInt16LE(flags | UTF8_NAMES, 6);
  header.writeUInt16LE(method, 8);
  header.writeUInt32LE(zip64 ? 0xffffffff : size, 18);
  header.writeUInt32LE(zip64 ? 0xffffffff : size, 22);
  header.writeUInt16LE(nameBytes.length, 26);
  header.writeUInt16LE(extras.length, 28);
  return Buffer.concat([header, nameBytes, extras]);
}

/** @param {Entry} entry @param {number} position @param {boolean} zip64 */
function directoryEntry({ name, data, flags = 0, method = 0, listed = {} }, position, zip64) {
  const nameBytes = Buffer.from(listed.name ?? name);
  const size = listed.size ?? data.length;
  const compressedSize = listed.compressedSize ?? size;
  const header = listed.header ?? position;
  const extras = zip64 ? zip64Field([size, compressedSize, header]) : Buffer.alloc(0);
  const entry = Buffer.alloc(46);
  entry.writeUInt32LE(0x02014b50, 0);
  entry.writeUInt16LE(flags | UTF8_NAMES, 8);
  entry.writeUInt16LE(method, 10);
  entry.writeUInt32LE(zip64 ? 0xffffffff : compressedSize, 20);
  entry.writeUInt32LE(zip64 ? 0xffffffff : size, 24);
  entry.writeUInt16LE(nameBytes.length, 28);
  entry.writeUInt16LE(extras.length, 30);
  entry.writeUInt16LE(listed.disk ?? 0, 34);
  entry.writeUInt32LE(zip64 ? 0xffffffff : header, 42);
  return Buffer.concat([entry, nameBytes, extras]);
}

/** @param {number} bytes @param {number} position @param {number} count @param {boolean} zip64 */
function endRecords(bytes, position, count, zip64) {
  const end = Buffer.alloc(20);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(zip64 ? 0xffff : count, 8);
  end.writeUInt16LE(zip64 ? 0xffff : count, 10);
  end.writeUInt32LE(zip64 ? 0xffffffff : bytes, 12);
  end.writeUInt32LE(zip64 ? 0xffffffff : position, 16);
  if (!zip64) return [end];
  const record = Buffer.alloc(56);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(bytes), 40);
  record.writeBigUInt64LE(BigInt(position), 48);
  const locator = Buffer.alloc(20);
  locator.writeUInt32LE(0x07064b50, 0);
  locator.writeBigUInt64LE(BigInt(position + bytes), 8);
  locator.writeUInt32LE(1, 16);
  return [record, locator, end];
}

/** @param {Uint8Array} comment */
function endComment(comment) {
  const length = Buffer.alloc(2);
  length.writeUInt16LE(comment.length);
  return Buffer.concat([length, comment]);
}

/** @param {number[]} values */
function zip64Field(values) {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [index, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * index);
  return field;
}
