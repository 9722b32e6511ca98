/** One folder, two spellings: what OpenCode wrote before and after 1.17. */
import { describe, expect, it } from 'vitest'
import { folderName, isWithinFolder } from '../../src/core/folders.js'

describe('the name of a folder', () => {
  it.each([
    ['/srv/sky', '/srv/sky'],
    ['/srv/sky//', '/srv/sky'],
    ['/', '/'],
    ['', ''],
    ['C:\\work\\x', 'C:/work/x'],
    ['C:/work\\x\\', 'C:/work/x'],
    ['c:\\Work', 'c:/Work'],
    ['C:\\', 'C:'],
    ['\\\\server\\share\\x', '//server/share/x'],
    ['//server/share/x', '//server/share/x'],
    ['/srv/a\\b', '/srv/a\\b'],
    ['work\\x', 'work\\x'],
  ])('of %j is %j', (path, name) => expect(folderName(path)).toBe(name))
})

describe('a folder', () => {
  it.each([
    ['C:\\work\\x', 'C:/work/x'],
    ['C:/work/x', 'C:\\work\\x\\'],
    ['C:\\work\\x\\deep', 'C:/work/x'],
    ['C:\\work', 'C:\\'],
    ['\\\\server\\share\\x', '//server/share'],
    ['/srv/sky/', '/srv/sky'],
    ['/srv/sky', '/'],
    ['/srv/a\\b', '/srv'],
  ])('%j is within %j', (directory, folder) => expect(isWithinFolder(directory, folder)).toBe(true))

  it.each([
    ['C:/work/xy', 'C:\\work\\x'],
    ['D:/work/x', 'C:/work/x'],
    ['c:/work/x', 'C:/work/x'],
    ['/srv/skylark', '/srv/sky'],
    ['/srv/a\\b', '/srv/a'],
    ['', '/'],
    ['/srv', ''],
  ])('%j is not within %j', (directory, folder) => expect(isWithinFolder(directory, folder)).toBe(false))
})
