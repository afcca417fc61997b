/** The text processor that LAVIS trained its matching with (`blip_caption` in its `blip_processors.py`): a text is made to look like a caption of its training. */

const MOST_WORDS = 50;

/** The text in lower case, without most punctuation and without what stands behind the fiftieth word. */
export function processCaption(text: string): string {
  const words = text
    .toLowerCase()
    .replaceAll(/[.!"()*#:;~]/g, ' ')
    .replaceAll(/\s{2,}/g, ' ')
    .replaceAll(/\n+$/g, '')
    .replaceAll(/^ +| +$/g, '')
    .split(' ');
  return words.slice(0, MOST_WORDS).join(' ');
}
