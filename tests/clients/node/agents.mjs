// @openai/agents (JavaScript): a Runner on either API, the history carried as it gives it back.
import { Agent, OpenAIProvider, Runner, setTracingDisabled } from "@openai/agents"
import { asked, tell } from "./tell.mjs"

const { baseURL, api, mode, prompts } = asked()
setTracingDisabled(true)
const modelProvider = new OpenAIProvider({ baseURL, apiKey: "any", useResponses: api === "responses" })
const runner = new Runner({ modelProvider })
const agent = new Agent({ name: "asker", instructions: "", model: "default" })
let history = []

await tell(prompts, async (content) => {
  const input = [...history, { role: "user", content }]
  let result
  if (mode === "stream") {
    result = await runner.run(agent, input, { stream: true, maxTurns: 3 })
    await result.completed
  } else {
    result = await runner.run(agent, input, { maxTurns: 3 })
  }
  history = result.history
  return { text: result.finalOutput }
})
