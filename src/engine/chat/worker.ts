/** Entry of the thread of a conversation: loads the model and carries the conversation on until it is told to close. */
import { PackError } from '../../errors.ts';
import { loadLanguageModel } from '../../language/load-language-model.ts';
import { ImageEncoder } from '../../vision/image-encoder.ts';
import type { ChatReply, ChatRequest, ChatStart } from './messages.ts';
import { ChatService } from './service.ts';
import { Conversation } from './conversation.ts';
import { ModelTexts } from '../texts/model-texts.ts';
import { serve } from '../threads/worker-entry.ts';

serve<ChatStart, ChatRequest, ChatReply>(async ({ pack, compute, options }, send) => {
  const { language: declaration } = pack.declaration;
  if (declaration === undefined)
    throw new PackError(pack.directory, 'this pack has no language model, so it cannot chat.');
  const texts = await ModelTexts.load(pack);
  const encoder = await ImageEncoder.load(pack, compute);
  const language = await loadLanguageModel(pack, compute).catch(async (error: unknown) => {
    await encoder.dispose();
    throw error;
  });
  const { eosTokenIds } = declaration;
  const { stopSequences, tokenCount: bannedFrom } = texts;
  const conversation = new Conversation(encoder, language, texts, {
    ...options,
    eosTokenIds,
    stopSequences,
    bannedFrom,
  });
  const service = new ChatService(conversation, send);
  return {
    add: (request) => service.add(request),
    close: async () => {
      await service.close();
      await encoder.dispose();
      await language.dispose();
    },
  };
});
