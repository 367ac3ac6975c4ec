// openai-node: both APIs, whole and by its streaming helpers, whose accumulators check what they are told.
import OpenAI from "openai"
import { asked, tell } from "./tell.mjs"

const { baseURL, api, mode, prompts } = asked()
const client = new OpenAI({ baseURL, apiKey: "any", maxRetries: 0 })
const messages = []
let previous

async function chat(content) {
  messages.push({ role: "user", content })
  const body = { model: "default", messages }
  const completion =
    mode === "stream"
      ? await client.chat.completions.stream(body).finalChatCompletion()
      : await client.chat.completions.create(body)
  const { message } = completion.choices[0]
  messages.push({ role: "assistant", content: message.content })
  return { text: message.content, tools: (message.tool_calls ?? []).map((call) => call.function.name) }
}

async function respond(input) {
  const body = { model: "default", input, previous_response_id: previous }
  const response =
    mode === "stream"
      ? await client.responses.stream(body).finalResponse()
      : await client.responses.create(body)
  if (response.status === "failed") throw Object.assign(new Error(response.error.message), { name: "failed" })
  previous = response.id
  const calls = response.output.filter((item) => item.type === "function_call")
  return { text: response.output_text, tools: calls.map((call) => call.name) }
}

await tell(prompts, api === "chat" ? chat : respond)
