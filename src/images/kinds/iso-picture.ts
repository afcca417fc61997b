/**
 * The boxes of HEIC and AVIF files (ISO/IEC 14496-12 and 23008-12): which codec the picture has, its size, how it is to be turned, and its
 * colours. Decoders read all of that themselves but the colours; it is needed before anything is decoded.
 */

/** Coding-independent code points for colours (ISO/IEC 23091-2). */
export type CodePoints = { primaries: number; transfer: number };

export type IsoPicture = {
  /** Four letters: `av01`, `hvc1`, … Of a picture put together of tiles, that of its tiles. */
  codec: string;
  /** As shown, quarter turns included. 0 where the file does not say. */
  width: number;
  height: number;
  /** Per sample: 8, 10 or 12. */
  bits: number;
  /** An ICC profile, which goes before code points. */
  icc: Uint8Array | undefined;
  codePoints: CodePoints | undefined;
};

type Box = { type: string; start: number; end: number };

/** The picture that a file shows first, or undefined where it has none: a film, or a damaged file. */
export function isoPicture(bytes: Uint8Array): IsoPicture | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const meta = find(boxesIn(view, 0, view.byteLength), 'meta');
    return meta === undefined ? undefined : primaryPicture(view, boxesIn(view, meta.start + 4, meta.end));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The boxes between two places. One that says it is longer than that ends there. */
export function* boxesIn(view: DataView, from: number, to: number): Generator<Box, void, void> {
  for (let at = from; at + 8 <= to;) {
    const size = view.getUint32(at);
    const header = size === 1 ? 16 : 8;
    const length = size === 1 ? Number(view.getBigUint64(at + 8)) : size === 0 ? to - at : size;
    if (length < header) return;
    yield { type: fourLetters(view, at + 4), start: at + header, end: Math.min(at + length, to) };
    at += length;
  }
}

export function fourLetters(view: DataView, at: number): string {
  return String.fromCharCode(view.getUint8(at), view.getUint8(at + 1), view.getUint8(at + 2), view.getUint8(at + 3));
}

function find(boxes: Iterable<Box>, type: string): Box | undefined {
  for (const box of boxes) if (box.type === type) return box;
  return undefined;
}

function primaryPicture(view: DataView, boxes: Iterable<Box>): IsoPicture | undefined {
  const meta = new Map<string, Box>();
  for (const box of boxes) if (!meta.has(box.type)) meta.set(box.type, box);
  const pitm = meta.get('pitm');
  const iprp = meta.get('iprp');
  if (pitm === undefined || iprp === undefined) return undefined;
  const primary = view.getUint8(pitm.start) === 0 ? view.getUint16(pitm.start + 4) : view.getUint32(pitm.start + 4);
  const types = itemTypes(view, meta.get('iinf'));
  const tile = firstTile(view, meta.get('iref'), primary);
  const ownType = types.get(primary) ?? '';
  const codec = tile === undefined || !['grid', 'iovl', 'iden'].includes(ownType) ? ownType : (types.get(tile) ?? '');

  const properties = itemProperties(view, iprp);
  const own = properties.get(primary) ?? [];
  const ofTile = tile === undefined ? [] : (properties.get(tile) ?? []);
  const turn = own.find(({ type }) => type === 'irot');
  const quarterTurns = turn === undefined ? 0 : view.getUint8(turn.start) & 3;
  const [width, height] = sizeOf(view, own);
  const turned = quarterTurns % 2 === 1;
  return {
    codec,
    width: turned ? height : width,
    height: turned ? width : height,
    bits: bitsOf(view, [...own, ...ofTile]),
    ...coloursOf(view, own.some(({ type }) => type === 'colr') ? own : ofTile),
  };
}

/** The type of each item, by its number. */
function itemTypes(view: DataView, iinf: Box | undefined): Map<number, string> {
  const types = new Map<number, string>();
  if (iinf === undefined) return types;
  const countBytes = view.getUint8(iinf.start) === 0 ? 2 : 4;
  for (const entry of boxesIn(view, iinf.start + 4 + countBytes, iinf.end)) {
    const version = view.getUint8(entry.start);
    if (entry.type !== 'infe' || version < 2) continue;
    const id = version === 2 ? view.getUint16(entry.start + 4) : view.getUint32(entry.start + 4);
    types.set(id, fourLetters(view, entry.start + (version === 2 ? 8 : 10)));
  }
  return types;
}

/** The first of the pictures that an item is put together of. */
function firstTile(view: DataView, iref: Box | undefined, item: number): number | undefined {
  if (iref === undefined) return undefined;
  const wide = view.getUint8(iref.start) !== 0;
  const read = (at: number): number => (wide ? view.getUint32(at) : view.getUint16(at));
  const width = wide ? 4 : 2;
  for (const { type, start } of boxesIn(view, iref.start + 4, iref.end)) {
    if (type === 'dimg' && read(start) === item) return read(start + width + 2);
  }
  return undefined;
}

/** The property boxes of each item, in their order. */
function itemProperties(view: DataView, iprp: Box): Map<number, Box[]> {
  const inside = [...boxesIn(view, iprp.start, iprp.end)];
  const ipco = find(inside, 'ipco');
  const all = ipco === undefined ? [] : [...boxesIn(view, ipco.start, ipco.end)];
  const properties = new Map<number, Box[]>();
  for (const { type, start } of inside) {
    if (type !== 'ipma') continue;
    const version = view.getUint8(start);
    const wide = (view.getUint8(start + 3) & 1) === 1;
    const entries = view.getUint32(start + 4);
    let at = start + 8;
    for (let entry = 0; entry < entries; entry++) {
      const id = version === 0 ? view.getUint16(at) : view.getUint32(at);
      at += version === 0 ? 2 : 4;
      const count = view.getUint8(at++);
      const boxes: Box[] = [];
      for (let index = 0; index < count; index++) {
        const number = wide ? view.getUint16(at) & 0x7fff : view.getUint8(at) & 0x7f;
        at += wide ? 2 : 1;
        const box = all[number - 1];
        if (box !== undefined) boxes.push(box);
      }
      properties.set(id, [...(properties.get(id) ?? []), ...boxes]);
    }
  }
  return properties;
}

/** The part that is shown of what is coded, before it is turned. */
function sizeOf(view: DataView, properties: readonly Box[]): [number, number] {
  const clap = properties.find(({ type }) => type === 'clap');
  if (clap !== undefined) {
    const side = (at: number): number =>
      Math.round(view.getUint32(clap.start + at) / view.getUint32(clap.start + at + 4));
    const [width, height] = [side(0), side(8)];
    if (Number.isFinite(width) && Number.isFinite(height)) return [width, height];
  }
  const ispe = properties.find(({ type }) => type === 'ispe');
  return ispe === undefined ? [0, 0] : [view.getUint32(ispe.start + 4), view.getUint32(ispe.start + 8)];
}

/** By the list of channels, or else by the settings of the codec. */
function bitsOf(view: DataView, properties: readonly Box[]): number {
  const pixi = properties.find(({ type }) => type === 'pixi');
  if (pixi !== undefined && view.getUint8(pixi.start + 4) > 0) return view.getUint8(pixi.start + 5);
  const hvcC = properties.find(({ type }) => type === 'hvcC');
  return hvcC === undefined ? 8 : 8 + (view.getUint8(hvcC.start + 17) & 7);
}

function coloursOf(view: DataView, properties: readonly Box[]): Pick<IsoPicture, 'icc' | 'codePoints'> {
  let icc: Uint8Array | undefined;
  let codePoints: CodePoints | undefined;
  for (const { type, start, end } of properties) {
    if (type !== 'colr') continue;
    const form = fourLetters(view, start);
    if (form === 'nclx') codePoints = { primaries: view.getUint16(start + 4), transfer: view.getUint16(start + 6) };
    else if (form === 'prof' || form === 'rICC') {
      icc = new Uint8Array(view.buffer, view.byteOffset + start + 4, Math.max(end - start - 4, 0));
    }
  }
  return { icc, codePoints };
}
