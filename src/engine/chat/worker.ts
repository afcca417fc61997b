/** Entry of the thread of a conversation: loads the model and carries the conversation on until it is told to close. */
import { PackError } from '../../errors.ts';
import { serve } from '../../threads/serve.ts';
import { loadStages } from '../model-stages.ts';
import { ModelTexts } from '../texts/model-texts.ts';
import { Conversation } from './conversation.ts';
import type { ChatEvent, ChatNotice, ChatRequest, ChatStart } from './messages.ts';
import { ChatService } from './service.ts';

serve<ChatStart, ChatRequest, ChatEvent[], ChatNotice>(async ({ pack, compute, options }) => {
  const { language: declaration } = pack.declaration;
  if (declaration === undefined)
    throw new PackError(pack.directory, 'this pack has no language model, so it cannot chat.');
  const texts = await ModelTexts.load(pack);
  const { encoder, language } = await loadStages(pack, compute);
  const { eosTokenIds } = declaration;
  const { stopSequences, tokenCount: bannedFrom } = texts;
  const conversation = new Conversation(encoder, language, texts, {
    ...options,
    eosTokenIds,
    stopSequences,
    bannedFrom,
  });
  const service = new ChatService(conversation);
  return {
    answer: async (request) => service.answer(request),
    hear: () => service.stop(),
    close: async () => {
      await service.close();
      await encoder.dispose();
      await language.dispose();
    },
  };
});
