/** What distinguishes a family at import. The families of a project are a file here, and `families.ts` lists them all. */
import type { Bridge } from '../../pack/bridge.ts';
import type { ObjectReader } from '../../pack/object-reader.ts';
import {
  planLanguage,
  type BuildableArchitecture,
  type LanguageArchitecture,
  type LanguagePlan,
} from '../architectures/language-architecture.ts';
import type { Renamed } from '../names/name-rule.ts';
import type { LoraConfig } from '../read/weight.ts';

export type FamilyTraits = {
  /** Undefined for a family without a language model, which matches images with texts. */
  language: FamilyLanguage | undefined;
  bridge: Bridge;
  /** Name of a file in `prompts/`; undefined without a language model. */
  promptFamily: string | undefined;
  /** Side of the image, in pixels, where no config and no tensor says anything else. */
  imageSize: number;
  /** The models were trained at `imageSize`, although the image encoder's file has the positions of another side. */
  hasFixedImageSize?: boolean;

  /** What the config.json of a whole model says; undefined where nobody publishes whole models. */
  wholeModel?: {
    modelType: string;
    /** One of its `architectures`, where the language model inside does not tell the families apart. */
    architecture?: string;
  };

  /** Name of the projection into the language model in the files of trained parts; undefined where there is none. */
  projection: string | undefined;
  /**
   * Whether parts with this projection make a model of the family; where it is left out, all do. Families are asked in the order of the
   * list, so that those behind need not exclude what those before them take.
   */
  isMadeOf?: (parts: FoundParts) => boolean;
  /** What a tensor of trained parts is to us; undefined for a name that nobody expects. */
  renamePart: (name: string) => Renamed | undefined;
  /** Of a low-rank adaptation that trained parts may bring, where neither they nor the user say anything else. */
  lora?: LoraConfig;

  /**
   * What answers were trained to end with, as the vocabulary spells it, where the config of the language model's own folder does not know of
   * it.
   */
  endToken?: string;
  /** What texts were trained to begin with, where the tokenizer of the language model's own folder does not know of it. */
  startToken?: string;
  /** The authors read the SentencePiece model, which the tokenizer.json of some copies does not follow. */
  prefersSentencePiece?: boolean;

  /** Where parts are published, for the message about a missing one. */
  published: {
    /** Undefined without a language model. */
    languageModel?: string;
    /** The file of the Q-Former, where it is another than that of the trained parts. */
    qformer?: string;
    trainedParts: string;
  };
};

/** What is known of a language model beside its config.json. */
export type LanguageFindings = {
  /** Of the adaptation that trained parts may bring; undefined for families that have none. */
  lora: LoraConfig | undefined;
  /** Whether config.json lies in a folder of the language model's own, as its publisher wrote it. */
  isOwnFolder: boolean;
};

export type FamilyLanguage = {
  architecture: LanguageArchitecture;
  /** @throws CheckpointError when the config asks for a variant of the architecture that is not built. */
  plan(config: ObjectReader, findings: LanguageFindings): LanguagePlan;
};

/**
 * The language model of a family.
 *
 * @param adapt what the family's models differ in from what config.json says
 */
export function familyLanguage<Config>(
  architecture: BuildableArchitecture<Config>,
  adapt: (config: Config, findings: LanguageFindings) => Config = (config) => config,
): FamilyLanguage {
  return {
    architecture,
    plan: (config, findings) => planLanguage(architecture, adapt(architecture.readConfig(config), findings)),
  };
}

/** What lies in sources that are no whole model. */
export type FoundParts = {
  /** Of the folder of a language model; the last one's where there are several. */
  language: LanguageArchitecture | undefined;
  /** The projection into a language model that comes last, of those that families have. */
  projection: string | undefined;
  /** `arch` of a training run of MiniGPT-4 or TinyGPT-V. */
  arch: string | undefined;
  /** Whether trained parts hold a tensor of such a name. */
  has: (name: RegExp) => boolean;
};
