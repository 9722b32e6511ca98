/** From a message to the text that leaves for embedder and sink: projected, without secrets where that is asked for, in chunks. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { StorageError } from '../../core/errors.js'
import type { MessageNode } from '../../tree/types.js'
import type { ProjectedMessage, Redactor } from '../ports.js'
import { plainText, withoutEncoded } from './clean-text.js'
import { chunkedWithin, MAX_BYTES, type ProjectionOptions, projectMessage, sectionsOf } from './projection.js'

export interface Projector {
  readonly project: (node: MessageNode) => Promise<ProjectedMessage>
  /** For the title of a session, which stands on each of its documents. */
  readonly projectTitle: (title: string) => Promise<string>
  /** '' without a redactor. With another name, documents are written again. */
  readonly projectName: string
}

/** UTF-16 units that are projected before other work may run. */
const TURN = 256 * 1024

/**
 * Secrets are taken out of each section before it is cut into chunks, so none straddles two of them.
 * A redactor that fails ends the projection with REDACTION_FAILED: text that was not looked through never leaves.
 */
export function projector({ redact, ...options }: ProjectionOptions & { readonly redact?: Redactor | undefined } = {}): Projector {
  let sinceTurn = 0
  const breathe = async (characters: number): Promise<void> => {
    sinceTurn += characters
    if (sinceTurn < TURN) return
    sinceTurn = 0
    await nextTurn()
  }
  const project = async (node: MessageNode): Promise<ProjectedMessage> => {
    const projected = redact === undefined ? projectMessage(node, options) : await projectRedacted(node, redact, options)
    await breathe(projected.chunks.reduce((sum, chunk) => sum + chunk.length, projected.truncatedBytes))
    return projected
  }
  return {
    project,
    projectTitle: async (title) => (redact === undefined || title === '' ? title : (await redacted(redact, title)).text),
    projectName: projectNameOf(redact?.name ?? ''),
  }
}

export function projectNameOf(redactor: string): string {
  return redactor === '' ? '' : ` redacted by ${redactor}`
}

/** UTF-16 units beyond the budget that are looked through all the same, and those of them at the end where a secret may be cut. */
const BEYOND = 2 ** 20
const CUT = 256 * 1024

/** What is beyond the budget of the message is not sent, so it is not looked through either. */
async function projectRedacted(node: MessageNode, redactor: Redactor, options: ProjectionOptions): Promise<ProjectedMessage> {
  let left = options.maxBytes ?? MAX_BYTES
  let redactedCount = 0
  let beyond = 0
  const clean: string[] = []
  for (const section of sectionsOf(node.parts, plainText)) {
    if (left <= 0) {
      beyond += Buffer.byteLength(withoutEncoded(section).trim())
      continue
    }
    let end = Math.min(section.length, left + BEYOND)
    let { text, count } = await cleaned(redactor, section.slice(0, end))
    if (end < section.length && text.length < left + CUT) {
      end = section.length
      ;({ text, count } = await cleaned(redactor, section))
    }
    clean.push(text)
    redactedCount += count
    beyond += Buffer.byteLength(withoutEncoded(section.slice(end)))
    left -= Buffer.byteLength(text)
  }
  const projected = chunkedWithin(clean, options)
  return { ...projected, truncatedBytes: projected.truncatedBytes + beyond, redacted: redactedCount }
}

async function cleaned(redactor: Redactor, section: string): Promise<{ readonly text: string; readonly count: number }> {
  const { text, redacted: count } = await redacted(redactor, section)
  return { text: withoutEncoded(text).trim(), count }
}

async function redacted(redactor: Redactor, section: string): Promise<{ readonly text: string; readonly redacted: number }> {
  let result: { readonly text: string; readonly redacted: number }
  try {
    result = await redactor.redact(section)
  } catch (error) {
    if (error instanceof StorageError) throw error
    // The cause may quote the text.
    throw new StorageError('REDACTION_FAILED', { reason: `the redactor failed (${error instanceof Error ? error.name : typeof error})` })
  }
  if (typeof result?.text === 'string' && Number.isSafeInteger(result.redacted) && result.redacted >= 0) return result
  throw new StorageError('REDACTION_FAILED', { reason: 'the redactor gave no text, or no number of what it took out' })
}
