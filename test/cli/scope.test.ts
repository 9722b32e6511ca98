import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exclusionOf, inScope, scopeOf } from '../../src/cli/scope.js'
import { addExclusions, readExclusions, removeExclusions } from '../../src/indexer/home/exclusions.js'
import { tempFolder } from '../support/temp.js'

describe('what a text names', () => {
  it('is a folder with a separator, and what its links lead to', () => {
    using folder = tempFolder()
    mkdirSync(join(folder.path, 'project'))
    symlinkSync(join(folder.path, 'project'), join(folder.path, 'link'))
    expect(scopeOf(`${folder.path}/link/`)).toEqual({ kind: 'folder', paths: [join(folder.path, 'link'), join(folder.path, 'project')] })
    expect(scopeOf('/nowhere/at/all')).toEqual({ kind: 'folder', paths: ['/nowhere/at/all'] })
    expect(scopeOf('.')).toEqual({ kind: 'folder', paths: [process.cwd()] })
    expect(scopeOf('~/secret')).toMatchObject({ kind: 'folder', paths: [expect.not.stringContaining('~')] })
  })

  it('is an id otherwise, unless a folder here has that name', () => {
    expect(scopeOf('ses_caprockPlan0001')).toEqual({ kind: 'id', id: 'ses_caprockPlan0001' })
    expect(scopeOf('src')).toEqual({ kind: 'folder', paths: [join(process.cwd(), 'src')] })
    expect(() => scopeOf('')).toThrow(expect.objectContaining({ code: 'INVALID_OPTION' }))
  })

  it('holds a folder and what is below it, not its neighbours', () => {
    const within = inScope(scopeOf('/home/dev/secret'))
    expect(within({ project: 'p', directory: '/home/dev/secret' })).toBe(true)
    expect(within({ project: 'p', directory: '/home/dev/secret/deep' })).toBe(true)
    expect(within({ project: 'p', directory: '/home/dev/secretary' })).toBe(false)
    expect(within({ project: 'p', directory: '' })).toBe(false)
  })

  it('holds a Windows folder in either spelling', () => {
    for (const text of ['C:\\work\\sky', 'C:/work/sky/', 'C:\\work\\other\\..\\sky']) {
      expect(scopeOf(text)).toEqual({ kind: 'folder', paths: ['C:/work/sky'] })
      const within = inScope(scopeOf(text))
      for (const directory of ['C:\\work\\sky', 'C:/work/sky', 'C:\\work\\sky\\deep', 'C:/work/sky/'])
        expect(within({ project: 'p', directory })).toBe(true)
      for (const directory of ['C:\\work\\skylark', 'D:/work/sky', '/work/sky']) expect(within({ project: 'p', directory })).toBe(false)
    }
    expect(inScope(scopeOf('\\\\server\\share'))({ project: 'p', directory: '//server/share/sky' })).toBe(true)
    expect(inScope(scopeOf('//server/share'))({ project: 'p', directory: '\\\\server\\share\\sky' })).toBe(true)
  })

  it('of an id holds the sessions whose record names that project', () => {
    const within = inScope({ kind: 'id', id: 'b0c1' })
    expect(within({ project: 'b0c1', directory: '' })).toBe(true)
    expect(within({ project: 'global', directory: '/b0c1' })).toBe(false)
  })
})

describe('the list of exclusions', () => {
  it('is remembered, taken back, and refused when it cannot be read', async () => {
    using folder = tempFolder()
    const home = join(folder.path, 'home')
    expect(readExclusions(home)).toEqual({ directories: [], projects: [], sessions: [] })
    addExclusions(home, exclusionOf([scopeOf('/home/dev/secret'), scopeOf('ses_a')]))
    expect(readExclusions(home)).toEqual({ directories: ['/home/dev/secret'], projects: ['ses_a'], sessions: ['ses_a'] })
    removeExclusions(home, exclusionOf([scopeOf('ses_a')]))
    expect(readExclusions(home)).toEqual({ directories: ['/home/dev/secret'], projects: [], sessions: [] })
    addExclusions(home, exclusionOf([scopeOf('C:\\work\\sky')]))
    expect(readExclusions(home).directories).toEqual(['/home/dev/secret', 'C:/work/sky'])
    removeExclusions(home, { directories: ['C:\\work\\sky\\'] })
    expect(readExclusions(home).directories).toEqual(['/home/dev/secret'])
    const { appendFileSync, statSync } = await import('node:fs')
    expect(statSync(join(home, 'exclude.jsonl')).mode & 0o777).toBe(0o600)
    appendFileSync(join(home, 'exclude.jsonl'), 'half a li')
    expect(() => readExclusions(home)).toThrow(expect.objectContaining({ code: 'EXCLUSIONS_DAMAGED' }))
  })
})
