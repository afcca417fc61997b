/**
 * Every error minigpt throws on purpose, one class per kind of cause.
 *
 * A message is one or two plain sentences: what happened, where, what was expected, what was found, and what to do.
 * The fields hold the same facts for code and tests. Any error that is not a `MinigptError` is a bug and is reported as `internal`.
 */

/** The `error.code` of a failed record, which programs may rely on. */
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

/** There is no answer for one image. The error becomes the record of that image, and the run continues. */
export class ImageError extends MinigptError {
  override readonly name = 'ImageError';
  readonly code: ImageErrorCode;

  /** `message` does not contain the path: the record and the line on the terminal name the image themselves. */
  constructor(code: ImageErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** An option, an environment variable or a setting asks for something that cannot be done. The run does not start (exit code 2). */
export class UsageError extends MinigptError {
  override readonly name = 'UsageError';
}

/** A model pack is missing, incomplete, changed, or of a kind that this version does not know. */
export class PackError extends MinigptError {
  override readonly name = 'PackError';
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.path = path;
  }
}

/** What is wrong with a checkpoint file, for code and tests. The message is for people. */
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

/** A checkpoint file or folder that the importer should read is damaged, hostile, incomplete or unknown. */
export class CheckpointError extends MinigptError {
  override readonly name = 'CheckpointError';
  readonly path: string;
  /** Undefined if the file itself is intact but does not contain what was expected. */
  readonly fault: CheckpointFault | undefined;

  constructor(path: string, message: string, options: ErrorOptions & { fault?: CheckpointFault } = {}) {
    super(`${path}: ${message}`, options);
    this.path = path;
    this.fault = options.fault;
  }
}

/** A tensor has a different shape than the architecture requires. */
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

/** Why a download failed, for code and tests. The message is for people. */
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

/** A file of a published model could not be downloaded or stored. What was downloaded of it is kept, unless the message says otherwise. */
export class DownloadError extends MinigptError {
  override readonly name = 'DownloadError';
  /** What should be downloaded: a repository, a file in one, or an address. */
  readonly subject: string;
  readonly fault: DownloadFault;

  constructor(subject: string, fault: DownloadFault, message: string, options?: ErrorOptions) {
    super(`${subject}: ${message}`, options);
    this.subject = subject;
    this.fault = fault;
  }
}

/** A result could not be written. The run cannot continue (exit code 2). */
export class OutputError extends MinigptError {
  override readonly name = 'OutputError';
  readonly path: string;

  constructor(path: string, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.path = path;
  }
}

/** The system error code (`ENOENT`, `EPIPE`, …) of an unknown error; undefined if it has none. */
export function systemErrorCode(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return undefined;
}
