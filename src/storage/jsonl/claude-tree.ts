/**
 * Lines of Claude Code's logs as messages: one line per content block put together by the id of the API's message, answers of
 * tools with the calls they answer, the chain of parents through lines that say nothing.
 */
import { crc32 } from 'node:zlib'
import type { MessageId } from '../../core/ids.js'
import type { LogTrait } from '../store.js'
import { LineFields } from './line-fields.js'
import { COPIES, isCopy, link, messageId, ownId, setTip, tipOf } from './log-chain.js'
import type { LogIndex, LogLine, LogMessage, Sum } from './log-index.js'
import { Skim } from './skim.js'
import { Words } from './words.js'

const TYPE = 0
const UUID = 1
const PARENT = 2
const TIME = 3
const SIDECHAIN = 4
const AGENT = 5
const REQUEST = 6
const FORKED = 7
const MESSAGE = 8
const ATTACHMENT = 9
const CONTENT = 10

const ROLE = 11
const API_ID = 12
const STOP = 13
const USAGE = 14
const BLOCK_TYPE = 15
const BLOCK_ID = 16
const ANSWERED = 17
const SESSION = 18
const ERROR = 19

/** What the blocks of the line that was skimmed last are. */
const calls: string[] = []
const answers: (string | undefined)[] = []
let others = 0

/** Synchronous, as all reading of lines is: one for all logs. */
const LINE = new LineFields({
  type: TYPE,
  uuid: UUID,
  parentUuid: PARENT,
  timestamp: TIME,
  isSidechain: SIDECHAIN,
  agentId: AGENT,
  requestId: REQUEST,
  forkedFrom: FORKED,
  sessionId: SESSION,
  error: ERROR,
  attachment: ATTACHMENT,
  content: CONTENT,
  message: {
    slot: MESSAGE,
    inside: {
      role: ROLE,
      id: API_ID,
      stop_reason: STOP,
      usage: USAGE,
      content: { each: { type: BLOCK_TYPE, id: BLOCK_ID, tool_use_id: ANSWERED }, begin: forgetBlocks, end: noteBlock },
    },
  },
})

function forgetBlocks(): void {
  calls.length = 0
  answers.length = 0
  others = 0
}

function noteBlock(): void {
  const { now } = LINE
  const kind = now.word(BLOCKS, BLOCK_TYPE)
  if (kind === 'answer') {
    answers.push(now.text(ANSWERED))
    return
  }
  others++
  const id = kind === 'call' ? now.text(BLOCK_ID) : undefined
  if (id !== undefined) calls.push(id)
}

const BLOCKS = new Words<'answer' | 'call'>({ tool_result: 'answer', tool_use: 'call' })

/** Types of lines that say nothing of the conversation. Those with a uuid are links of its chain all the same. */
const SAY_NOTHING: ReadonlyMap<string, string> = new Map([
  ['progress', 'progress notes'],
  ['summary', 'titles'],
  ['custom-title', 'titles'],
  ['ai-title', 'titles'],
  ['agent-name', 'names of the agent'],
  ['agent-color', 'names of the agent'],
  ['agent-setting', 'settings'],
  ['tag', 'tags'],
  ['mode', 'settings'],
  ['permission-mode', 'settings'],
  ['file-history-snapshot', 'snapshots of files'],
  ['attribution-snapshot', 'snapshots of files'],
  ['content-replacement', 'notes on shortened outputs'],
  ['queue-operation', 'notes of the queue'],
  ['last-prompt', 'copies of the last prompt'],
  ['task-summary', 'summaries of tasks'],
  ['pr-link', 'links of pull requests'],
  ['worktree-state', 'states of the worktree'],
  ['speculation-accept', 'notes of the program'],
  ['marble-origami-commit', 'notes of the program'],
  ['marble-origami-snapshot', 'notes of the program'],
])

/** Under this name the index keeps the message that nothing has closed yet. */
const OPEN = 'open'
/**
 * A line joins a message of its id when at most so many began since: as far back as a resumed index sees for certain. One that follows a line of
 * that message joins it however many began since.
 */
const REACH = 12

/** What all lines of the chain have. */
interface Link {
  readonly uuid: string | undefined
  readonly time: number | undefined
  /** A checksum of what the line says; what is around it changes from copy to copy. */
  readonly content: Sum
}

export function readClaude(bytes: Buffer, start: number, end: number, line: LogLine, log: LogIndex): void {
  if (!LINE.read(bytes, start, end, line, log)) {
    log.damaged(line)
    closeOpen(log, undefined, false)
    return
  }
  const type = typeOf()
  const uuid = ownId(LINE.now.text(UUID))
  const time = LINE.now.time(TIME)
  const content = uuid === undefined ? 0 : contentOf(bytes, start, end, type, log)
  if (uuid !== undefined && log.notes.own !== true) noteSession(log)
  if (uuid !== undefined && isCopy(log, uuid, time, content)) log.ignore(line, COPIES)
  else take(type, { uuid, time, content }, line, log)
}

function take(type: string | undefined, chained: Link, line: LogLine, log: LogIndex): void {
  const reason = type === undefined ? undefined : SAY_NOTHING.get(type)
  if (reason !== undefined) passOver(chained, reason, line, log)
  else if (type === 'assistant') takeAssistant(chained, line, log)
  else if (type === 'user') takeUser(chained, line, log)
  else if (type === 'system' && !LINE.now.isFilled(CONTENT) && !LINE.now.isObject(ERROR)) passOver(chained, 'system notes without a text', line, log)
  else {
    closeOpen(log, undefined, false)
    begin(chained, line, log)
  }
}

/** The type of the line; one without it is told by its message. */
function typeOf(): string | undefined {
  if (LINE.now.has(TYPE)) return LINE.now.text(TYPE)
  if (!LINE.now.has(MESSAGE)) return undefined
  const role = LINE.now.text(ROLE)
  if (role === 'user' || role === 'assistant') return role
  return LINE.now.has(USAGE) ? 'assistant' : undefined
}

function contentOf(bytes: Buffer, start: number, end: number, type: string | undefined, log: LogIndex): Sum {
  const { now } = LINE
  if (!now.has(MESSAGE) && !now.has(ATTACHMENT) && !now.has(CONTENT)) {
    return type === 'system' || type === 'progress' ? 0 : log.sum(() => crc32(bytes.subarray(start, end)))
  }
  return log.sum(() => {
    const { from, to } = said
    said.run(bytes, start, end)
    const slot = said.has(0) ? 0 : said.has(1) ? 1 : 2
    return crc32(bytes.subarray(from[slot], to[slot]))
  })
}

/** What is inside a line that says something. */
const said = new Skim({ message: 0, attachment: 1, content: 2 })

/** A line that is only a link of the chain, if that. */
function passOver({ uuid, time, content }: Link, reason: string, line: LogLine, log: LogIndex): void {
  if (uuid !== undefined) link(log, uuid, parentOf(log), time, content)
  log.ignore(line, reason)
}

/** Without a parent of its own a line follows the one before. */
function parentOf(log: LogIndex): MessageId | undefined {
  return LINE.now.has(PARENT) ? log.follow(LINE.now.text(PARENT)) : tipOf(log)
}

function begin({ uuid, time, content }: Link, line: LogLine, log: LogIndex, open = false): LogMessage {
  const parent = parentOf(log)
  const message = log.begin({ id: messageId(log, uuid, line), created: time, parent, open, trait: traitOf(log) }, line)
  setTip(log, message)
  if (uuid !== undefined) link(log, uuid, message.id, time, content)
  return message
}

function traitOf(log: LogIndex): LogTrait | undefined {
  if (LINE.now.is(SIDECHAIN, true) && !isAgents(log)) return 'sidechain'
  return LINE.now.isObject(FORKED) || isOthers(log) ? 'inherited' : undefined
}

/** A subagent that has a name writes a log of its own, and there its lines are no side chain. */
function isAgents({ session }: LogIndex): boolean {
  return session === undefined ? LINE.now.isFilled(AGENT) : AGENT_LOG.test(session)
}

const AGENT_LOG = /(^|\.)agent-/
const UUID_NAME = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/**
 * The log of a session that goes on from another one may begin with a copy of that one's, whose lines still name it. Lines that name another session
 * behind the first of the log's own are none: they came to the wrong log.
 */
function noteSession(log: LogIndex): void {
  const { session } = log
  if (session === undefined || !UUID_NAME.test(session) || LINE.now.text(SESSION)?.toLowerCase() === session.toLowerCase()) log.notes.own = true
}

function isOthers({ notes }: LogIndex): boolean {
  return notes.own !== true && LINE.now.isFilled(UUID) && LINE.now.isFilled(SESSION)
}

function takeAssistant(chained: Link, line: LogLine, log: LogIndex): void {
  const isOver = LINE.now.has(STOP) && !LINE.now.is(STOP, null)
  const id = LINE.now.has(MESSAGE) ? LINE.now.text(API_ID) : undefined
  const name = id === undefined || id === '' ? undefined : `${id} ${LINE.now.text(REQUEST) ?? ''}`
  const group = name === undefined ? undefined : log.group(name)
  const message = group !== undefined && (log.count - group.order <= REACH || isAfter(group, log)) ? group : undefined
  closeOpen(log, message, true)
  if (message === undefined) {
    const begun = begin(chained, line, log, !isOver)
    if (name !== undefined) log.setGroup(name, begun)
    if (!isOver) log.setGroup(OPEN, begun)
    for (const call of calls) log.call(call, begun)
    return
  }
  log.add(message, line, 'own')
  if (chained.uuid !== undefined) link(log, chained.uuid, message.id, chained.time, chained.content)
  if (isOver) closeOpen(log, undefined, true)
  for (const call of calls) log.call(call, message)
}

/** Whether the line follows one of the message's. */
function isAfter({ id }: LogMessage, log: LogIndex): boolean {
  const parent = LINE.now.text(PARENT)
  return parent !== undefined && log.entry(parent)?.message === id
}

/** Answers go to the messages that called. A line with nothing else is no message, as long as all its calls are known. */
function takeUser(chained: Link, line: LogLine, log: LogIndex): void {
  let isStray = false
  const owners = new Set<LogMessage>()
  for (const answer of answers) {
    const owner = answer === undefined ? undefined : log.answer(answer)
    if (owner === undefined) isStray = true
    else owners.add(owner)
  }
  const [first] = owners
  const hasOwn = others > 0 || isStray || first === undefined
  if (hasOwn) {
    closeOpen(log, undefined, true)
    const message = begin(chained, line, log)
    // Beside something else, an answer whose call is not known is shown only because its line answers here.
    if (isStray && others > 0) log.add(message, line, 'answer')
  }
  for (const owner of owners) log.add(owner, line, 'answer')
  if (first !== undefined && !hasOwn && chained.uuid !== undefined) link(log, chained.uuid, first.id, chained.time, chained.content)
}

/**
 * Another line than one of the open message follows it. What merely stands between its lines (`isSure` false) ends it only when
 * it is about to fall out of what a resumed index remembers.
 */
function closeOpen(log: LogIndex, but: LogMessage | undefined, isSure: boolean): void {
  const open = log.group(OPEN)
  if (open === undefined || open === but || (!isSure && log.count - open.order < REACH)) return
  log.close(open)
  log.setGroup(OPEN, undefined)
}
