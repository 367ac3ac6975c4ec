// @openai/agents (JavaScript) over a WebSocket: a Runner, the history carried as it gives it back.
import { Agent, OpenAIProvider, Runner, setTracingDisabled } from "@openai/agents"
import { asked, tell } from "./tell.mjs"

const { baseURL, mode, prompts } = asked()
setTracingDisabled(true)
const modelProvider = new OpenAIProvider({ baseURL, apiKey: "any", useResponses: true, useResponsesWebSocket: true })
const runner = new Runner({ modelProvider })
const agent = new Agent({ name: "asker", instructions: "", model: "default" })
let history = []

await tell(prompts, async (content) => {
  const input = [...history, { role: "user", content }]
  const result = await runner.run(agent, input, { stream: mode === "stream", maxTurns: 3 })
  if (mode === "stream") await result.completed
  history = result.history
  return { text: result.finalOutput }
})
await modelProvider.close()
