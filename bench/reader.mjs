/**
 * The measured side: node reader.mjs all|list|ls|one|verify|deep STORE [SESSION | plain]
 * Prints what it read and the milliseconds since its first line of work; the library is loaded before that, as the
 * baseline's modules are. `openMs` is the part of it that opened the store, and so listed the sessions.
 */
import Module from 'node:module'

const [mode, data, option] = process.argv.slice(2)
if (mode === 'deep' && option === 'plain') hide('simdjson')
const { listSessions, openSessions, runSessionFlow, runSessionTreeFlow, verifyStores } = await import('spanleaf')

const out = { mode, sessions: 0, messages: 0, parts: 0, bytes: 0 }
const started = performance.now()
const sessions = await openSessions({ data })
out.openMs = performance.now() - started
await modes()[mode]()
out.ms = performance.now() - started
await sessions.close()
console.log(JSON.stringify(out))

function modes() {
  const metas = () => sessions.index.sessionsByTime()
  return {
    all: async () => {
      for await (const result of runSessionFlow(sessions, { all: true })) take(result)
    },
    list: () => {
      out.sessions = metas().length
    },
    /** What `spanleaf ls --all` asks for. */
    ls: async () => {
      const counts = await sessions.index.messageCounts(metas().map(({ key }) => key))
      Object.assign(out, { sessions: counts.length, messages: counts.reduce((sum, count) => sum + count, 0) })
    },
    one: async () => take(await runSessionTreeFlow(sessions, { session: option ?? listSessions(sessions)[0].id })),
    verify: () => verify(false),
    deep: () => verify(true),
  }
}

/** A version of the library that does not ask for `deep` has no such option. */
async function verify(deep) {
  let asked = false
  const options = {
    get deep() {
      asked = true
      return true
    },
  }
  try {
    const { total } = await verifyStores(sessions, deep ? options : {})
    Object.assign(out, { sessions: total.sessions, messages: total.messages, parts: total.parts, damaged: total.damaged })
  } catch (error) {
    if (error.code !== 'INVALID_OPTION') throw error
  }
  if (deep && !asked) out.unsupported = 'verifyStores has no option `deep` here'
}

function take(result) {
  if (result.status !== 'ok') throw new Error(`${result.status}: ${JSON.stringify(result.issues ?? result.error)}`)
  out.sessions++
  out.messages += result.value.messages.length
  for (const { parts } of result.value.messages) out.parts += parts.length
  out.bytes += result.reports.at(-1).bytes
}

/** As if the package were not installed. */
function hide(name) {
  const resolve = Module._resolveFilename
  Module._resolveFilename = (request, ...rest) => {
    if (request === name) throw Object.assign(new Error(`${name} is hidden`), { code: 'MODULE_NOT_FOUND' })
    return resolve.call(Module, request, ...rest)
  }
}
