/** The sinks of an index home: where the documents of each space are, and what it takes to bring them elsewhere. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { StorageError } from '../../core/errors.js'
import type { PartialConfig } from '../config/config.js'
import type { IndexConfig } from '../config/config-settings.js'
import type { Sink } from '../ports.js'
import { localSinkPath, openLocalSink } from '../sinks/local.js'
import { spaceIdOf } from '../space.js'
import type { SpaceRow } from '../state/rows.js'
import type { HomeRecord, SinkPlace } from './home-record.js'

export interface SinkChoice {
  readonly directory: string
  readonly values: IndexConfig
  /** What was chosen by name; the rest is as it was. */
  readonly chosen: PartialConfig
  readonly record: HomeRecord
  /** Those of the index, the live one first. */
  readonly spaces: readonly SpaceRow[]
  /** The address of the one Chroma server that is given the token; undefined: whichever is asked. */
  readonly tokenFor?: string | undefined
}

/** A token is for the server that was chosen with it, else for the one that is worked with; not for those that documents are taken away from. */
export function tokenAddress({ chromaUrl }: PartialConfig, place: SinkPlace | undefined): string | undefined {
  return chromaUrl ?? (place?.kind === 'chroma' ? place.url : undefined)
}

/** Where the documents of a space go, and where they stood until now if that is elsewhere. */
export interface Placement {
  readonly place: SinkPlace
  readonly from: SinkPlace | undefined
}

/** @throws StorageError SINK_MISMATCH when the index is kept by another kind of sink and none was chosen */
export function placeOf(space: string, choice: SinkChoice): Placement {
  const { spaces, values, chosen } = choice
  const id = spaceIdOf(space)
  const held = heldPlace(id, choice)
  const [live] = spaces
  const last = held ?? (live === undefined ? undefined : heldPlace(live.id, choice))
  if (last !== undefined && chosen.sink === undefined) refuseOther(last, values)
  const place = placeIn(values.sink, { id, held, last }, choice)
  return { place, from: held === undefined || same(held, place) ? undefined : held }
}

interface Places {
  readonly id: string
  readonly held: SinkPlace | undefined
  readonly last: SinkPlace | undefined
}

function placeIn(sink: IndexConfig['sink'], { id, held, last }: Places, choice: SinkChoice): SinkPlace {
  switch (sink) {
    case 'local':
      return localPlace(id, held, choice)
    case 'chroma':
      return chromaPlace(last, choice)
    default:
      return sink satisfies never
  }
}

/** Where the documents of the live space are, also while they are brought elsewhere. @throws StorageError SINK_MISMATCH */
export function placeToSearch(live: SpaceRow, choice: SinkChoice): SinkPlace {
  const place = heldPlace(live.id, choice) ?? { kind: 'local', file: 'documents.db' }
  if (choice.chosen.sink === undefined) refuseOther(place, choice.values)
  return place
}

function refuseOther(place: SinkPlace, { sink }: IndexConfig): void {
  if (place.kind === sink) return
  throw new StorageError('SINK_MISMATCH', {
    reason:
      `the index keeps its documents in ${describePlace(place)}; go on with --sink ${place.kind} (or "sink": "${place.kind}" in config.json), ` +
      `or bring them over with spanleaf index --sink ${sink}`,
  })
}

/** Where the documents of a space are, as far as there may be some. Older versions kept no record, and had one space in one file. */
export function heldPlace(id: string, { record, spaces, directory }: Pick<SinkChoice, 'record' | 'spaces' | 'directory'>): SinkPlace | undefined {
  const held = record.sinks[id]
  if (held !== undefined) return held
  if (!spaces.some((space) => space.id === id)) return undefined
  return { kind: 'local', file: existsSync(localSinkPath(directory, id, { isFirst: false })) ? `documents-${id}.db` : 'documents.db' }
}

export function describePlace(place: SinkPlace): string {
  if (place.kind === 'local') return `the local file ${place.file}`
  return `Chroma at ${place.url}, collection ${place.collection}, tenant ${place.tenant}, database ${place.database}`
}

/** @throws what opening the sink throws */
export async function openSinkAt(
  place: SinkPlace,
  space: string,
  { directory, values, tokenFor, readOnly = false }: Pick<SinkChoice, 'directory' | 'values' | 'tokenFor'> & { readonly readOnly?: boolean },
): Promise<Sink> {
  if (place.kind === 'local') return openLocalSink({ path: join(directory, place.file), space, readOnly })
  const { openChromaSink } = await import('../sinks/chroma.js')
  const { url, collection, tenant, database } = place
  const token = tokenFor === undefined || new URL(tokenFor).origin === new URL(url).origin ? values.chromaToken : undefined
  return openChromaSink({ url, collection, tenant, database, token: token ?? '', space })
}

/** Deletes every document of this index; what others keep there stays. With `keepIt` the sink remains of use. */
export async function emptySink(sink: Sink, namespace: string, { keepIt = false }: { readonly keepIt?: boolean } = {}): Promise<void> {
  const own: string[] = []
  for await (const { id } of sink.ids()) if (id.startsWith(`${namespace}~`)) own.push(id)
  for (let from = 0; from < own.length; from += PAGE) await sink.delete(own.slice(from, from + PAGE))
  if (!keepIt && (await sink.count()) === 0) await sink.drop?.()
}

const PAGE = 256

/** The first space has the plain name, which older versions know. */
function localPlace(id: string, held: SinkPlace | undefined, { record, spaces, directory }: SinkChoice): SinkPlace {
  if (held?.kind === 'local') return held
  const taken = [...Object.values(record.sinks), ...record.left.map(({ place }) => place)].some(
    (place) => place.kind === 'local' && place.file === 'documents.db',
  )
  const isFirst = !taken && spaces.every((space) => heldPlace(space.id, { record, spaces, directory })?.kind !== 'local')
  return { kind: 'local', file: isFirst ? 'documents.db' : `documents-${id}.db` }
}

/** What is not chosen is as it was. */
function chromaPlace(last: SinkPlace | undefined, { values, chosen }: SinkChoice): SinkPlace {
  const held = last?.kind === 'chroma' ? last : undefined
  return {
    kind: 'chroma',
    url: chosen.chromaUrl ?? held?.url ?? values.chromaUrl,
    collection: chosen.chromaCollection ?? held?.collection ?? values.chromaCollection,
    tenant: chosen.chromaTenant ?? held?.tenant ?? values.chromaTenant,
    database: chosen.chromaDatabase ?? held?.database ?? values.chromaDatabase,
  }
}

function same(one: SinkPlace, two: SinkPlace): boolean {
  return describePlace(one) === describePlace(two)
}
