// openai-node over a WebSocket: turns that are stored nowhere, each sent as what is new.
import OpenAI from "openai"
import { ResponsesWS } from "openai/resources/responses/ws"
import { asked, tell } from "./tell.mjs"

const { baseURL, prompts } = asked()
const socket = new ResponsesWS(new OpenAI({ baseURL, apiKey: "any" }))
let previous

async function respond(input) {
  socket.send({ type: "response.create", model: "default", input, store: false, previous_response_id: previous })
  for await (const { type, message, error } of socket.stream()) {
    if (type === "error") throw error
    if (type !== "message" || !["response.completed", "response.failed"].includes(message.type)) continue
    const { response } = message
    if (response.status === "failed") throw new Error(response.error.message)
    previous = response.id
    const parts = response.output.filter((item) => item.type === "message").flatMap((item) => item.content)
    return { text: parts.map((part) => part.text).join("") }
  }
}

await tell(prompts, respond)
socket.close()
