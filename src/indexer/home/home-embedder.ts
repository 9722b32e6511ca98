/** The embedder of an index home: the one that was chosen, held against the one that the index was built with. */
import type { Clock } from '../../core/clock.js'
import { StorageError } from '../../core/errors.js'
import type { IndexConfig } from '../config/config-settings.js'
import { hashEmbedder } from '../embedders/hash.js'
import type { Embedder } from '../ports.js'
import type { SpaceRow } from '../state/rows.js'

export interface EmbedderChoice {
  readonly values: IndexConfig
  /** Chosen by name, not by default. */
  readonly isChosen: boolean
  /** What the index is searched in, undefined before the first use. */
  readonly live: SpaceRow | undefined
  /** Every space of the index. */
  readonly spaces: readonly SpaceRow[]
  readonly clock: Clock
  readonly signal?: AbortSignal | undefined
  readonly onTruncated: (texts: number) => void
}

/** @throws StorageError SINK_MISMATCH when the index is of another embedder and none was chosen; what opening the embedder throws */
export async function chosenEmbedder(choice: EmbedderChoice): Promise<Embedder> {
  refuseUnchosen(choice)
  return openEmbedder(choice)
}

/** @throws StorageError SINK_MISMATCH when the index is of another embedder and none was chosen */
export async function embedderToSearch(choice: EmbedderChoice & { readonly live: SpaceRow }): Promise<Embedder> {
  refuseUnchosen(choice)
  return embedderOfSpace(choice.live.space, choice)
}

function refuseUnchosen({ values, isChosen, live }: EmbedderChoice): void {
  const built = live === undefined ? undefined : kindOf(live.space)
  if (!isChosen && live !== undefined && built !== values.embedder) throw otherEmbedder(live.space, built, values.embedder)
}

/** The embedder of a space that the index still has beside the one that is worked in, to search it; it throws when it is used and cannot be had. */
export async function embedderOfSpace(space: string, choice: EmbedderChoice): Promise<Embedder> {
  try {
    const embedder = await openEmbedder({ ...choice, values: { ...choice.values, ...valuesOf(space) } })
    if (embedder.space === space) return embedder
    return absentEmbedder(space, new StorageError('EMBEDDER_CHANGED', { reason: 'the embedder of the index that is searched is no longer there' }))
  } catch (error) {
    if (!(error instanceof StorageError)) throw error
    return absentEmbedder(space, error)
  }
}

async function openEmbedder(choice: EmbedderChoice): Promise<Embedder> {
  switch (choice.values.embedder) {
    case 'hash':
      return hashEmbedder()
    case 'ollama':
      return openOllama(choice)
    default:
      return choice.values.embedder satisfies never
  }
}

async function openOllama({ values, spaces, clock, signal, onTruncated }: EmbedderChoice): Promise<Embedder> {
  const { openOllamaEmbedder } = await import('../embedders/ollama.js')
  const { ollamaUrl: host, ollamaModel: model, ollamaNumCtx: numCtx, ollamaTruncate: truncate } = values
  const open = (expected: string | undefined): Promise<Embedder> =>
    openOllamaEmbedder({ host, model, numCtx, truncate, expected, onTruncated, clock, signal })
  // While Ollama is down, the one space of the index that has these options is worked in.
  let failure: unknown
  for (const expected of [...spaces.filter(({ space }) => kindOf(space) === 'ollama').map(({ space }) => space), undefined]) {
    try {
      return await open(expected)
    } catch (error) {
      signal?.throwIfAborted()
      failure = error
    }
  }
  throw failure instanceof StorageError ? mended(failure, values) : failure
}

/** With what to do about it. */
function mended(error: StorageError, { ollamaUrl, ollamaModel }: IndexConfig): StorageError {
  const todo =
    error.code === 'EMBEDDER_UNAVAILABLE'
      ? `; start it with \`ollama serve\`, or name its address in OLLAMA_API_BASE (now ${ollamaUrl})`
      : error.code === 'EMBEDDER_REFUSED'
        ? `; run \`ollama pull ${ollamaModel}\` where the model is missing at ${ollamaUrl}`
        : ''
  return new StorageError(error.code, { reason: `${error.reason}${todo}` }, { cause: error })
}

/** The name of a space in short, for people. */
export function describeSpace(space: string): string {
  const [, model, digest, dimensions] = /^ollama\/.* model=(\S+) digest=(?:sha256:)?(\S{1,12})\S* dimensions=(\d+) /.exec(space) ?? []
  return model === undefined ? space : `Ollama's ${model}, ${dimensions} dimensions, digest ${digest}`
}

/** What `SPANLEAF_EMBEDDER` calls the embedder of a space; undefined for one of the caller's own. */
function kindOf(space: string): IndexConfig['embedder'] | undefined {
  return (['hash', 'ollama'] as const).find((kind) => space.startsWith(`${kind}/`))
}

/** The settings that a space was made with, as far as its name tells. */
function valuesOf(space: string): Partial<IndexConfig> {
  const [, ollamaModel, numCtx, truncate] = /^ollama\/.* model=(\S+) .*num_ctx=(\d+) truncate=(true|false) /.exec(space) ?? []
  if (ollamaModel === undefined) return { embedder: 'hash' }
  return { embedder: 'ollama', ollamaModel, ollamaNumCtx: Number(numCtx), ollamaTruncate: truncate === 'true' }
}

/** Names a space and embeds nothing. */
export function absentEmbedder(space: string, error = new StorageError('EMBEDDER_UNAVAILABLE', { reason: 'no embedder was asked for' })): Embedder {
  return { name: 'absent', space, dimensions: 1, embed: () => Promise.reject(error) }
}

function otherEmbedder(space: string, built: string | undefined, wanted: string): StorageError {
  const goOn = built === undefined ? '' : `go on with --embedder ${built} (or "embedder": "${built}" in config.json), or `
  return new StorageError('SINK_MISMATCH', {
    reason: `the index was built with ${describeSpace(space)}; ${goOn}have it built anew with --embedder ${wanted}`,
  })
}
