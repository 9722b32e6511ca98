import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSessions } from '../../src/open.js'
import { makeFolder } from '../../src/tree/make-folder.js'
import { tempFolder } from '../support/temp.js'

const modeOf = (path: string): number => statSync(path).mode & 0o777

describe('a folder', () => {
  it('is made with those above it, for the owner alone, and one that is there stays as it is', () => {
    using root = tempFolder()
    const open = join(root.path, 'open')
    mkdirSync(open, { mode: 0o755 })
    const path = join(open, 'a', 'b', 'c')
    for (let round = 0; round < 2; round++) makeFolder(path)
    expect([open, join(open, 'a'), join(open, 'a', 'b'), path].map(modeOf)).toEqual([0o755, 0o700, 0o700, 0o700])
    symlinkSync(path, join(root.path, 'link'))
    makeFolder(join(root.path, 'link', 'd'))
    expect(modeOf(join(path, 'd'))).toBe(0o700)
  })

  it('that cannot be made says why', () => {
    using root = tempFolder()
    writeFileSync(join(root.path, 'file'), '')
    symlinkSync(join(root.path, 'nowhere'), join(root.path, 'dangling'))
    const thrown = (code: string) => expect.objectContaining({ code })
    expect(() => makeFolder(join(root.path, 'file'))).toThrow(thrown('EEXIST'))
    expect(() => makeFolder(join(root.path, 'file', 'a', 'b'))).toThrow(thrown('ENOTDIR'))
    expect(() => makeFolder(join(root.path, 'dangling', 'a'))).toThrow(thrown('ENOENT'))
  })

  it.runIf(process.platform === 'linux')('below /proc is an issue of the catalog, and hangs nowhere', async () => {
    using data = tempFolder()
    mkdirSync(join(data.path, 'session'))
    await using sessions = await openSessions({ data: data.path, home: '/proc/spanleaf/home' })
    expect(sessions.issues.map(({ code }) => code)).toEqual(['CATALOG_UNAVAILABLE'])
  })
})
