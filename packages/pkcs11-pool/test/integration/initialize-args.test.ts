import { createNssToken, createSoftHsmToken } from 'testkit'
import { useToken } from 'testkit/vitest'
import { describe, expect, test } from 'vitest'
import { createClient, inspectModule } from '../../src/index.js'
import { rejection } from '../support/rejection.js'

const token = await useToken(() => createNssToken())

describe.runIf(token !== undefined)('a module that takes its configuration from C_Initialize', () => {
  const { module, initializeArgs, label, pin } = token ?? createSoftHsmToken()
  const options = { module, token: { label }, pin: { value: pin } }

  test('gets it from a client, and shows the token that it names', async () => {
    await using client = await createClient({ ...options, initializeArgs })
    expect(await client.generateRandom(8)).toHaveLength(8)
  })

  test('gets it from inspectModule', async () => {
    const { slots } = await inspectModule(module, { initializeArgs })
    expect(slots.map((slot) => slot.token?.label)).toContain(label)
  })

  test('serves who asks for the same or says nothing, and refuses who asks for another, while it is initialised', async () => {
    const client = await createClient({ ...options, initializeArgs })
    await using same = await createClient({ ...options, initializeArgs })
    expect(await same.generateRandom(8)).toHaveLength(8)
    await using silent = await createClient(options)
    expect(await silent.generateRandom(8)).toHaveLength(8)

    const other = `${initializeArgs} `
    expect(await rejection(inspectModule(module, { initializeArgs: other }))).toMatchObject({
      code: 'MODULE_LOAD_FAILED',
      message: expect.stringContaining('other initializeArgs'),
    })
    expect(await rejection(createClient({ ...options, initializeArgs: other }))).toMatchObject({
      code: 'MODULE_LOAD_FAILED',
    })
    // Who was refused has not taken the others' share with it.
    await client.close()
    expect(await same.generateRandom(8)).toHaveLength(8)
  })

  test('may be told something else when nobody uses it any more', async () => {
    const other = initializeArgs?.replace(`Description='${label}'`, "Description='renamed'")
    const { slots } = await inspectModule(module, { initializeArgs: other })
    expect(slots.map((slot) => slot.token?.label)).toContain('renamed')
  })

  test.each([[''], ['configdir=\0'], [7], [null]])('is not told %j', async (wrong) => {
    expect(await rejection(createClient({ ...options, initializeArgs: wrong as never }))).toMatchObject({
      code: 'INVALID_OPTION',
      message: expect.stringContaining('initializeArgs'),
    })
    expect(await rejection(inspectModule(module, { initializeArgs: wrong as never }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: expect.stringContaining('initializeArgs'),
    })
  })
})
