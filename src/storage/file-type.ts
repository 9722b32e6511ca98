/** What stands at a path. Nothing is opened. */
import { lstatSync, statSync } from 'node:fs'
import { systemCode } from '../core/errors.js'

/** Of what links lead to. @throws the system's error when the path may exist and cannot be looked at */
export function typeOf(path: string): 'file' | 'folder' | 'other' | undefined {
  try {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return undefined
    return stat.isFile() ? 'file' : stat.isDirectory() ? 'folder' : 'other'
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined
    throw error
  }
}

export function isFolder(path: string): boolean {
  return typeOf(path) === 'folder'
}

/** Whether anything has this name, a link that leads nowhere too. @throws the system's error when the path may exist and cannot be looked at */
export function isSomething(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return false
    throw error
  }
}

/** What cannot be looked into counts: its listing then says why. */
export function isOrMayBe(test: () => boolean): boolean {
  return isOr(true, test)
}

/** `unknown` of what cannot be looked into. */
export function isOr(unknown: boolean, test: () => boolean): boolean {
  try {
    return test()
  } catch (error) {
    if (systemCode(error) === undefined) throw error
    return unknown
  }
}
