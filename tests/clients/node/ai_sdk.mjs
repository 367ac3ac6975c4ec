// Vercel AI SDK: @ai-sdk/openai on /responses (it sends item_reference by default), @ai-sdk/openai-compatible on chat.
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import { generateText, streamText } from "ai"
import { asked, tell } from "./tell.mjs"

const { baseURL, api, mode, prompts } = asked()
const model =
  api === "chat"
    ? createOpenAICompatible({ name: "howler", baseURL, apiKey: "any" })("default")
    : createOpenAI({ baseURL, apiKey: "any" })("default")
const messages = []

await tell(prompts, async (content) => {
  messages.push({ role: "user", content })
  const asking = { model, messages, maxRetries: 0 }
  let result
  if (mode === "stream") {
    result = streamText({ ...asking, onError: () => {} })
    for await (const part of result.fullStream) if (part.type === "error") throw part.error
  } else {
    result = await generateText(asking)
  }
  messages.push(...(await result.response).messages)
  const calls = (await result.toolCalls).filter((call) => !call.providerExecuted)
  return { text: await result.text, tools: calls.map((call) => call.toolName) }
})
