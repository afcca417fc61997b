/** Which of the images that were found a run looks at. It stands in front of everything that counts images. */
import type { ImageFile } from '../images/image-file.ts';

/** Whether a run looks at an image. @param place among all that were found, from 0 */
export type Selection = (file: ImageFile, place: number) => boolean;

/** Leaves nothing out. */
export const everyImage: Selection = () => true;

/** The images of a run, in the order in which they were found. */
export function selectImages(found: readonly ImageFile[], selection: Selection): ImageFile[] {
  return found.filter((file, place) => selection(file, place));
}
