/** What to pull for matching images with texts. */
import { listKnownModels, type KnownModel } from '../../store/known-models.ts';

/** The first published model that matches; undefined where none is known. Only the importer knows what a family has, so it is loaded. */
export async function knownMatchingModel(): Promise<KnownModel | undefined> {
  const { FAMILY_TRAITS } = await import('../../importer/families/families.ts');
  return (await listKnownModels()).find(({ family }) => FAMILY_TRAITS[family].bridge === 'matching');
}
