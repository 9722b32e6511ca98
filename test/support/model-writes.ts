/** What agents and their users do to the sessions of a model machine. */
import { keyOf, type WorldMessage, type WorldSession } from './index-world.js'
import type { Command, Flavour } from './model-commands.js'
import type { Host } from './model-host.js'

export const idOf = (s: number): string => `ses_${'abcd'[s] ?? 'a'}`

/** From now on less of the session may be indexed than before, though it is as it was. */
export function beginEpoch(host: Host, session: string): void {
  host.epochs.set(session, (host.epochs.get(session) ?? 0) + 1)
}

/** What was quiet for long is not any more on a clock that was set back. */
export function setClock(host: Host, ms: number): void {
  host.clock.wall += ms
  for (const id of host.world.sessions.keys()) beginEpoch(host, id)
}

type Written = Exclude<Extract<Command, { readonly s: number }>, { readonly p: number }>

function textOf(flavour: Flavour, n: number): string {
  switch (flavour) {
    case 'plain':
      return `text #${n}`
    case 'same':
      return 'the same text everywhere'
    case 'empty':
      return ''
    case 'long':
      return Array.from({ length: 500 }, (_, i) => `sentence ${i} of #${n}.`).join(' ')
    case 'poison':
    case 'lethal':
    case 'refused':
      return `${flavour} #${n}`
  }
}

/** What an agent, or its user, does to a session. */
export function write(host: Host, command: Written): void {
  const { world, weather, witness } = host
  const id = idOf(command.s)
  const key = keyOf(id)
  const session = world.sessions.get(id)
  switch (command.do) {
    case 'exclude':
      weather.excluded.add(id)
      beginEpoch(host, id)
      witness.outdate(key)
      return
    case 'include':
      weather.excluded.delete(id)
      return
    case 'unreadable':
      if (!world.failing.delete(id)) world.failing.add(id)
      return
    case 'delete-session':
      world.sessions.delete(id)
      beginEpoch(host, id)
      witness.excuse(key)
      return
    default:
      change(host, session ?? world.add(id, [], { updated: host.clock.now(), revision: ++host.revisions }), command)
  }
}

function change(host: Host, session: WorldSession, command: Exclude<Written, { do: 'exclude' | 'include' | 'unreadable' | 'delete-session' }>): void {
  const { messages } = session
  const last = messages.at(-1)
  const now = host.clock.now()
  const at = 'm' in command ? Math.min(command.m, messages.length - 1) : -1
  const place = messages[at]
  const silent = command.do === 'silent'
  switch (command.do) {
    case 'append':
      messages.push(newMessage(host, session, textOf(command.text, ++host.texts), now))
      break
    case 'insert':
      messages.splice(Math.max(0, at), 0, newMessage(host, session, textOf(command.text, ++host.texts), now))
      break
    case 'edit':
    case 'silent':
      if (place !== undefined) Object.assign(place, { text: textOf(command.text, ++host.texts), version: place.version + 1, changed: now })
      break
    case 'stream': {
      const { completed: _, ...streaming } = newMessage(host, session, `first words #${++host.texts}`, now)
      messages.push({ ...streaming, role: 'assistant' })
      break
    }
    case 'grow':
      if (last?.role === 'assistant' && last.completed === undefined)
        Object.assign(last, { text: `${last.text} and #${++host.texts}`, version: last.version + 1, changed: now })
      break
    case 'settle':
      for (const message of messages) if (message.role === 'assistant') settle(message, now)
      break
    case 'delete':
      beginEpoch(host, session.id)
      messages.splice(at, place === undefined ? 0 : 1)
      break
    case 'revert':
      host.witness.excuse(keyOf(session.id))
      if (place !== undefined) session.revert = place.id
      break
    case 'unrevert':
      host.witness.excuse(keyOf(session.id))
      delete session.revert
      break
    case 'rename':
      host.witness.outdate(keyOf(session.id))
      session.title = `Title ${++host.texts}`
  }
  if (silent) return
  session.updated = now
  session.revision = ++host.revisions
}

function settle(message: WorldMessage, now: number): void {
  if (message.completed !== undefined) return
  Object.assign(message, { completed: now, version: message.version + 1, changed: now })
}

function newMessage(host: Host, session: WorldSession, text: string, now: number): WorldMessage {
  const made = ++host.made
  const id = `msg_${session.id}_${String(made).padStart(6, '0')}`
  const role = made % 2 === 0 ? 'assistant' : 'user'
  return { id, role, text, changed: now, version: 1, ...(role === 'assistant' ? { completed: now } : {}) }
}
