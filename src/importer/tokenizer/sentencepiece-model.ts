/**
 * A SentencePiece model file (`tokenizer.model`, `spiece.model`): its pieces and how it treats text.
 *
 * Field numbers and defaults are those of `sentencepiece_model.proto`: https://github.com/google/sentencepiece
 */
import { CheckpointError } from '../../errors.ts';
import { quoted } from '../read/quoted.ts';
import { readProtobufMessage, type ProtobufField } from './protobuf-message.ts';

export type PieceKind = 'normal' | 'unknown' | 'control' | 'user-defined' | 'byte';

/** One piece; its id is its place in the list. */
export type Piece = { text: string; score: number; kind: PieceKind };

export type SentencePieceModel = {
  kind: 'unigram' | 'bpe';
  pieces: readonly Piece[];
  unknownId: number;
  /** The pieces that stand for unknown text, for start, end and padding; null where there is none. */
  unknownToken: string;
  startToken: string | null;
  endToken: string | null;
  padToken: string | null;
  byteFallback: boolean;
  /** Character replacements, compiled; empty for the identity. */
  charsmap: Uint8Array;
  addDummyPrefix: boolean;
  removeExtraWhitespaces: boolean;
};

const PIECE_KINDS: readonly (PieceKind | 'unused' | undefined)[] = [
  undefined,
  'normal',
  'unknown',
  'control',
  'user-defined',
  'unused',
  'byte',
];
const MODEL_KINDS = [undefined, 'unigram', 'bpe', 'word', 'char'] as const;

/** The published models stay below 100; what is said of a piece costs the square of its length. */
const MAX_PIECE_LENGTH = 1000;

/** @throws CheckpointError when the file is damaged, or is a model of a kind that the Q-Former family has none of. */
export function readSentencePieceModel(bytes: Uint8Array, path: string): SentencePieceModel {
  refuseGitPointer(bytes, path);
  const pieces: Piece[] = [];
  const trainer = { modelType: 1, suffix: 0, byteFallback: 0, startId: 1, endId: 2, padId: -1 };
  const normalizer = { addDummyPrefix: 1, removeExtraWhitespaces: 1, escapeWhitespaces: 1 };
  let charsmap: Uint8Array = new Uint8Array();
  const parts = new Set<number>();
  for (const field of readProtobufMessage(bytes, path)) {
    parts.add(field.number);
    if (field.number === 1) pieces.push(readPiece(field, pieces.length, path));
    if (field.number === 2) {
      for (const setting of field.message()) {
        if (setting.number === 3) trainer.modelType = setting.integer();
        if (setting.number === 24) trainer.suffix = setting.integer();
        if (setting.number === 35) trainer.byteFallback = setting.integer();
        if (setting.number === 41) trainer.startId = setting.integer();
        if (setting.number === 42) trainer.endId = setting.integer();
        if (setting.number === 43) trainer.padId = setting.integer();
      }
    }
    if (field.number === 3) {
      for (const setting of field.message()) {
        if (setting.number === 2) charsmap = setting.bytes();
        if (setting.number === 3) normalizer.addDummyPrefix = setting.integer();
        if (setting.number === 4) normalizer.removeExtraWhitespaces = setting.integer();
        if (setting.number === 5) normalizer.escapeWhitespaces = setting.integer();
      }
    }
  }
  // Their defaults would turn a file that was cut off behind a piece into another, valid model.
  if (!parts.has(2) || !parts.has(3)) {
    throw new CheckpointError(
      path,
      `after ${pieces.length} pieces the settings that every model has are missing. The file is truncated, or it is another kind of file.`,
      { fault: 'truncated' },
    );
  }
  const kind = MODEL_KINDS[trainer.modelType];
  if (kind !== 'unigram' && kind !== 'bpe') {
    throw new CheckpointError(
      path,
      `the model is of type ${kind ?? trainer.modelType}; this version converts unigram and bpe.`,
    );
  }
  if (trainer.suffix !== 0 || normalizer.escapeWhitespaces === 0) {
    throw new CheckpointError(path, 'the model does not write spaces as "▁" before a word. It is not supported.');
  }
  requireCharsmap(charsmap, path);
  const [unknownId, unknownToken] = unknownPiece(pieces, path);
  return {
    kind,
    pieces,
    unknownId,
    unknownToken,
    startToken: controlToken(trainer.startId, pieces),
    endToken: controlToken(trainer.endId, pieces),
    padToken: controlToken(trainer.padId, pieces),
    byteFallback: trainer.byteFallback !== 0,
    charsmap,
    addDummyPrefix: normalizer.addDummyPrefix !== 0,
    removeExtraWhitespaces: normalizer.removeExtraWhitespaces !== 0,
  };
}

function readPiece(field: ProtobufField, id: number, path: string): Piece {
  let text = '';
  let score = 0;
  let type = 1;
  for (const part of field.message()) {
    if (part.number === 1) text = part.text();
    if (part.number === 2) score = part.float();
    if (part.number === 3) type = part.integer();
  }
  const kind = PIECE_KINDS[type];
  if (text === '' || text.length > MAX_PIECE_LENGTH || !Number.isFinite(score)) {
    throw new CheckpointError(
      path,
      `piece ${id} ${quoted(text)} with score ${score} is not valid: a piece has 1 to ${MAX_PIECE_LENGTH} characters and a finite score.`,
    );
  }
  if (kind === undefined || kind === 'unused') {
    throw new CheckpointError(path, `piece ${id} ${quoted(text)} is of type ${kind ?? type}, which is not supported.`);
  }
  return { text, score, kind };
}

function unknownPiece(pieces: readonly Piece[], path: string): [id: number, text: string] {
  const texts = new Set(pieces.map((piece) => piece.text));
  if (texts.size !== pieces.length) {
    throw new CheckpointError(path, `${pieces.length - texts.size} of the ${pieces.length} pieces are repeated.`);
  }
  const found = [...pieces.entries()].filter(([, { kind }]) => kind === 'unknown');
  const [unknown] = found;
  if (unknown === undefined || found.length > 1) {
    throw new CheckpointError(path, `a model has one piece for unknown text; this one has ${found.length}.`);
  }
  return [unknown[0], unknown[1].text];
}

/** The trainer's defaults name pieces even where a model has none of them. */
function controlToken(id: number, pieces: readonly Piece[]): string | null {
  const piece = pieces[id];
  return piece?.kind === 'control' ? piece.text : null;
}

/** A compiled map begins with the bytes of its trie, whose units have four; none at all is the identity. */
function requireCharsmap(charsmap: Uint8Array, path: string): void {
  if (charsmap.length === 0) return;
  const bytes = Buffer.from(charsmap);
  const trieBytes = bytes.length < 4 ? 0 : bytes.readUInt32LE(0);
  if (trieBytes === 0 || trieBytes % 4 !== 0 || trieBytes > bytes.length - 4) {
    throw new CheckpointError(
      path,
      `the character map has ${bytes.length} bytes and claims a trie of ${trieBytes}. The file is damaged.`,
    );
  }
}

function refuseGitPointer(bytes: Uint8Array, path: string): void {
  if (Buffer.from(bytes.subarray(0, 24)).toString('latin1') !== 'version https://git-lfs.') return;
  throw new CheckpointError(
    path,
    'this is a Git LFS pointer, not the file itself. Download the file with "git lfs pull".',
    {
      fault: 'not-a-checkpoint',
    },
  );
}
