/** From a message to the text that leaves for embedder and sink: projected, without secrets where that is asked for, in chunks. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { StorageError } from '../core/errors.js'
import type { MessageNode } from '../tree/types.js'
import { plainText, withoutEncoded } from './clean-text.js'
import type { ProjectedMessage, Redactor } from './ports.js'
import { chunkedWithin, type ProjectionOptions, projectMessage, sectionsOf } from './projection.js'

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

async function projectRedacted(node: MessageNode, redactor: Redactor, options: ProjectionOptions): Promise<ProjectedMessage> {
  let redactedCount = 0
  const clean: string[] = []
  for (const section of sectionsOf(node.parts, plainText)) {
    const { text, redacted: count } = await redacted(redactor, section)
    redactedCount += count
    clean.push(withoutEncoded(text).trim())
  }
  return { ...chunkedWithin(clean, options), redacted: redactedCount }
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
