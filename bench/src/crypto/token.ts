import { createSecretKey, generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findSoftHsm } from 'testkit'
import type { Context } from '../harness/context.js'
import { buildProgram } from '../harness/native.js'
import { runTool } from '../harness/tool.js'

/** A token of SoftHSM in a folder of its own, as contenders are told of it. */
export interface TokenPlace {
  module: string
  label: string
  pinFile: string
  /** what makes the module find the token */
  env: { SOFTHSM2_CONF: string }
}

/** What the keys under the labels `aes`, `ecdsa` and `rsa` are, so that results can be verified outside the token. */
export interface KeyMaterial {
  aes: KeyObject
  ecdsa: KeyObject
  rsa: KeyObject
}

export interface BenchToken {
  place: TokenPlace
  /** brings a key to the token that is known outside it too */
  importKey(label: string, id: number, key: KeyObject): Promise<void>
  /** has the token make AES-256 keys labelled PREFIX0, PREFIX1, … */
  fill(prefix: string, count: number): Promise<void>
}

export async function createToken(context: Context, name: string): Promise<BenchToken> {
  const directory = join(context.directory, name)
  const file = (base: string) => join(directory, base)
  const pin = randomBytes(8).toString('hex')
  await mkdir(file('tokens'), { recursive: true, mode: 0o700 })
  await writeFile(
    file('softhsm2.conf'),
    `directories.tokendir = ${file('tokens')}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  )
  await writeFile(file('pin'), pin, { mode: 0o600 })
  const place: TokenPlace = {
    module: findSoftHsm(),
    label: name,
    pinFile: file('pin'),
    env: { SOFTHSM2_CONF: file('softhsm2.conf') },
  }
  const util = (...args: string[]) => runTool('softhsm2-util', [...args, '--pin', pin], place.env)
  await util('--init-token', '--free', '--label', name, '--so-pin', pin)

  return {
    place,
    importKey: async (label, id, key) => {
      const secret = key.type === 'secret'
      await writeFile(file('key'), secret ? key.export() : key.export({ type: 'pkcs8', format: 'pem' }), {
        mode: 0o600,
      })
      const kind = secret ? ['--aes'] : []
      const hexId = id.toString(16).padStart(8, '0')
      await util('--import', file('key'), ...kind, '--token', name, '--label', label, '--id', hexId)
      await rm(file('key'))
    },
    fill: async (prefix, count) => {
      const args = ['--module', place.module, '--token', name, '--pin-file', place.pinFile]
      await runTool(await buildProgram('fill'), [...args, '--prefix', prefix, '--count', String(count)], place.env)
    },
  }
}

/** An AES-256 key that can be imported: softhsm2-util reads its file as text, which zeros and newlines would cut short. */
export function createAesKey(): KeyObject {
  return createSecretKey(randomBytes(32).map((byte) => byte | 0x10))
}

/** A token with one key for each of the operations. */
export async function createTokenWithKeys(context: Context): Promise<{ place: TokenPlace; material: KeyMaterial }> {
  context.log('making a token with an AES-256, a P-256 and an RSA-2048 key')
  const token = await createToken(context, 'bench')
  const material: KeyMaterial = {
    aes: createAesKey(),
    ecdsa: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey,
    rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey,
  }
  await token.importKey('aes', 1, material.aes)
  await token.importKey('ecdsa', 2, material.ecdsa)
  await token.importKey('rsa', 3, material.rsa)
  return { place: token.place, material }
}
