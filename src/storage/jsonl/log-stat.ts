/** Opening a log, and what its file's metadata says at that moment. */
import { closeSync, constants, fstatSync, openSync, type Stats, statSync } from 'node:fs'
import type { StoreWork } from '../store.js'

/** Of one stat. */
export interface LogStat {
  readonly dev: number
  readonly ino: number
  /** Bytes on disk. */
  readonly size: number
  readonly mtimeMs: number
  readonly ctimeMs: number
}

export interface OpenLog {
  readonly fd: number
  readonly stat: LogStat
}

/** Opening a named pipe would wait for a writer for ever; this way it is refused like all that is no regular file. */
const READ = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)

/** Gives the open file to `use` and closes it after that. @throws the system's error, EFTYPE when it is no regular file */
export async function withLog<T>(path: string, work: StoreWork, use: (log: OpenLog) => T | Promise<T>): Promise<T> {
  const log = openLog(path, work)
  try {
    return await use(log)
  } finally {
    closeSync(log.fd)
  }
}

/** The caller closes it. @throws the system's error, EFTYPE when it is no regular file */
export function openLog(path: string, work: StoreWork): OpenLog {
  const fd = openSync(path, READ)
  try {
    work.files++
    return { fd, stat: statOf(fstatSync(fd)) }
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

/** Without opening it. @throws the system's error, EFTYPE when it is no regular file */
export function statLog(path: string): LogStat {
  return statOf(statSync(path))
}

/** As `statLog`; undefined when nothing is there, which costs no error. @throws as `statLog` does */
export function statIfThere(path: string): LogStat | undefined {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats && statOf(stats)
}

function statOf(stats: Stats): LogStat {
  if (!stats.isFile()) throw Object.assign(new Error('this is no regular file'), { code: 'EFTYPE' })
  const { dev, ino, size, mtimeMs, ctimeMs } = stats
  return { dev, ino, size, mtimeMs, ctimeMs }
}
