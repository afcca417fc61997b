/** Entry of the thread of a conversation: loads the model and carries the conversation on until it is told to close. */
import { PackError } from '../errors.ts';
import { loadLanguageModel } from '../language/load-language-model.ts';
import { ImageEncoder } from '../vision/image-encoder.ts';
import type { ChatReply, ChatRequest, ChatStart } from './chat-messages.ts';
import { ChatService } from './chat-service.ts';
import { Conversation } from './conversation.ts';
import { ModelTexts } from './model-texts.ts';
import { serve } from './worker-entry.ts';

serve<ChatStart, ChatRequest, ChatReply>(async ({ pack, threads, options }, send) => {
  const { language: declaration } = pack.declaration;
  if (declaration === undefined) throw new PackError(pack.directory, 'this pack has no language model to talk to.');
  const texts = await ModelTexts.load(pack);
  const encoder = await ImageEncoder.load(pack, threads);
  const language = await loadLanguageModel(pack, threads).catch(async (error: unknown) => {
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
