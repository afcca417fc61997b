/**
 * Every error minigpt throws on purpose, one class per kind of cause.
 *
 * A message says what happened, where, what was expected, what was found and what to do, as one or two plain sentences.
 * The fields carry the same facts for code and tests. Anything that is not a `MinigptError` is a bug and is reported as `internal`.
 */

/** The `error.code` of a failed record (contract: Errors). */
export type ImageErrorCode =
  | 'unreadable-image'
  | 'truncated-image'
  | 'unsupported-format'
  | 'image-too-large'
  | 'file-not-found'
  | 'permission-denied'
  | 'empty-file'
  | 'prompt-too-long'
  | 'not-a-number'
  | 'internal';

/** Base of all errors with a message written for the user. */
export class MinigptError extends Error {
  override readonly name: string = 'MinigptError';
}

/** One image could not be answered. It becomes that image's record; the run goes on. */
export class ImageError extends MinigptError {
  override readonly name = 'ImageError';
  readonly code: ImageErrorCode;

  /** `message` is without the path: the record and the terminal line name the image themselves. */
  constructor(code: ImageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The command line, a variable or a setting asks for something that cannot be done. The run does not start (exit 2). */
export class UsageError extends MinigptError {
  override readonly name = 'UsageError';
}

/** A model pack is missing, incomplete, altered or of a kind this version does not know. */
export class PackError extends MinigptError {
  override readonly name = 'PackError';
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.path = path;
  }
}

/** What is wrong with a checkpoint file, in one word: for code and tests, beside the message for people. */
export type CheckpointFault =
  | 'unsafe-pickle'
  | 'bad-pickle'
  | 'truncated'
  | 'unsupported-compression'
  | 'missing-data-pkl'
  | 'missing-storage'
  | 'storage-size-mismatch'
  | 'out-of-range'
  | 'too-large'
  | 'unsupported-dtype'
  | 'unsupported-byteorder'
  | 'unsupported-torchscript'
  | 'ambiguous-archive'
  | 'encrypted'
  | 'not-a-checkpoint'
  | 'safetensors-header'
  | 'safetensors-offsets'
  | 'safetensors-size'
  | 'index-path'
  | 'index-missing-shard'
  | 'index-missing-tensor';

/** A checkpoint file or folder that is given to the importer is damaged, hostile, incomplete or unknown. */
export class CheckpointError extends MinigptError {
  override readonly name = 'CheckpointError';
  readonly path: string;
  /** Undefined where the file itself is sound, and what it holds is not what was expected. */
  readonly fault: CheckpointFault | undefined;

  constructor(path: string, message: string, options: ErrorOptions & { fault?: CheckpointFault } = {}) {
    super(`${path}: ${message}`, options);
    this.path = path;
    this.fault = options.fault;
  }
}

/** A tensor has another shape than the architecture states. */
export class ShapeError extends MinigptError {
  override readonly name = 'ShapeError';
  readonly tensor: string;
  readonly expected: readonly (number | string)[];
  readonly received: readonly (number | string)[];

  constructor(
    tensor: string,
    expected: readonly (number | string)[],
    received: readonly (number | string)[],
    where: string,
  ) {
    super(`${where}: tensor ${tensor} should have shape [${expected.join(', ')}] but has [${received.join(', ')}].`);
    this.tensor = tensor;
    this.expected = expected;
    this.received = received;
  }
}

/** Why something could not be fetched, in one word: for code and tests, beside the message for people. */
export type DownloadFault =
  | 'access-refused'
  | 'not-found'
  | 'too-many-requests'
  | 'server-error'
  | 'connection'
  | 'bad-answer'
  | 'wrong-content'
  | 'disk-full'
  | 'disk'
  | 'offline';

/** A file of a published model could not be fetched, or not be kept. What was fetched of it stays, unless the message says otherwise. */
export class DownloadError extends MinigptError {
  override readonly name = 'DownloadError';
  /** What was to be fetched: a repository, a file of one, or an address. */
  readonly subject: string;
  readonly fault: DownloadFault;

  constructor(subject: string, fault: DownloadFault, message: string, options?: ErrorOptions) {
    super(`${subject}: ${message}`, options);
    this.subject = subject;
    this.fault = fault;
  }
}

/** A result could not be written: the run cannot go on (exit 2). */
export class OutputError extends MinigptError {
  override readonly name = 'OutputError';
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.path = path;
  }
}

/** The system error code (`ENOENT`, `EPIPE`, …) of an unknown error, or undefined where it has none. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
