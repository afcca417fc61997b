/**
 * Computing time that decoding one image may take where nobody says otherwise. In a file of its own, because the command line shows it in its
 * help, and the decoders take long to load.
 */
export const DEFAULT_DECODE_SECONDS = 20;
