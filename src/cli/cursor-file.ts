/** The file that a cursor is kept in between two runs. */
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Cursor, isCursor, isInsideStore, type SessionId, type Sessions, StorageError } from '../index.js'

export class CursorFile {
  readonly #path: string

  /** @throws StorageError INVALID_OPTION when it would stand in an agent's store, or in no folder: before anything is shown that would be new again */
  constructor(path: string, sessions: Sessions) {
    if (path === '') throw refusal('must be the path of a file')
    if (isInsideStore(path, sessions)) throw refusal("lies inside an agent's store, where nothing may be written", path)
    if (!existsSync(dirname(resolve(path)))) throw refusal('lies in a folder that does not exist', path)
    this.#path = path
  }

  /** Undefined when there is no such file yet. @throws StorageError INVALID_OPTION for one that holds no cursor of the session */
  read(session: SessionId): Cursor | undefined {
    let text: string
    try {
      if (!statSync(this.#path).isFile()) throw refusal('must be the path of a file', this.#path)
      text = readFileSync(this.#path, 'utf8')
    } catch (error) {
      if (error instanceof StorageError) throw error
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return undefined
      throw refusal(`cannot be read (${code})`, this.#path, error)
    }
    const cursor = parsed(text)
    if (!isCursor(cursor)) throw refusal('names a file that spanleaf did not write, or that is damaged', this.#path)
    if (cursor.session !== session) throw refusal(`was written for the session ${JSON.stringify(cursor.session)}`, this.#path)
    return cursor
  }

  /** Put in place by a rename, for nobody else to read. @throws StorageError INVALID_OPTION when it cannot be written */
  write(cursor: Cursor): void {
    // What is linked to is replaced, not the link.
    const path = existsSync(this.#path) ? realpathSync(this.#path) : this.#path
    const draft = `${path}.${randomUUID()}`
    try {
      writeFileSync(draft, `${JSON.stringify(cursor)}\n`, { mode: 0o600, flag: 'wx' })
      renameSync(draft, path)
    } catch (error) {
      rmSync(draft, { force: true })
      throw refusal(`cannot be written (${(error as NodeJS.ErrnoException).code})`, this.#path, error)
    }
  }
}

function refusal(reason: string, path?: string, cause?: unknown): StorageError {
  return new StorageError('INVALID_OPTION', { reason: `--cursor ${reason}`, ...(path !== undefined && { path }) }, { cause })
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
