/** An image that the user named, directly or through a folder, a pattern or a list. */
export type ImageFile = {
  /** The path as records show it: as the user wrote its beginning, with `/` between folders. */
  path: string;
};
