// What every script here shares: `node SCRIPT BASE_URL API MODE PROMPT…` runs the prompts as the turns of one
// conversation and tells in one JSON line what came of it.

/** Read the command line: api is chat or responses, mode is whole or stream. */
export function asked() {
  const [baseURL, api, mode, ...prompts] = process.argv.slice(2)
  return { baseURL, api, mode, prompts }
}

/** Run turns, each a function of a prompt that resolves to {text, tools}, and tell them. */
export async function tell(prompts, turn) {
  const told = { texts: [], tools: [], error: null }
  try {
    for (const prompt of prompts) {
      const { text, tools = [] } = await turn(prompt)
      told.texts.push(text)
      told.tools.push(...tools)
    }
  } catch (error) {
    told.error = { name: error.name, message: String(error.message), status: error.status ?? error.statusCode ?? null }
  }
  console.log(JSON.stringify(told))
}
