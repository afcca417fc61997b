/** The headings that options stand under in help. */
export const GROUP = {
  images: 'Images:',
  captions: 'Captions:',
  questions: 'Questions:',
  texts: 'Texts:',
  model: 'Model:',
  decoding: 'Decoding:',
  output: 'Output:',
  general: 'General:',
} as const;
