// Serves Hardhat's node (the EDR library) as JSON-RPC over HTTP on a free loopback port.
// Usage: node edr_node.mjs CHAIN_ID PORT [SECRET_KEY...]; prints {"port": N} when it listens.
import { createRequire } from "node:module";
import { createServer } from "node:http";

const require = createRequire(`${process.cwd()}/`);
const edr = require("@nomicfoundation/edr");
const [chainId, port, ...keys] = process.argv.slice(2);
const BLOCK_GAS = 60_000_000n;
const ETHER = 10n ** 18n;

// [address, ...]: the keys' addresses come along as ADDRESS=KEY, so that no curve library is needed
const accounts = keys.map((pair) => pair.split("="));
const genesisState = edr.l1GenesisState(edr.l1HardforkFromString(edr.OSAKA));
for (const [address] of accounts) {
  genesisState.push({
    address: Uint8Array.from(Buffer.from(address.slice(2), "hex")),
    balance: 10_000n * ETHER,
    code: new Uint8Array(),
  });
}

const context = new edr.EdrContext();
await context.registerProviderFactory(edr.L1_CHAIN_TYPE, edr.l1ProviderFactory());
const provider = await context.createProvider(
  edr.L1_CHAIN_TYPE,
  {
    allowBlocksWithSameTimestamp: false,
    allowUnlimitedContractSize: false,
    bailOnCallFailure: true,
    bailOnTransactionFailure: false,
    chainId: BigInt(chainId),
    coinbase: new Uint8Array(20),
    defaultTransactionGasLimit: 16_777_216n,
    genesisState,
    hardfork: edr.OSAKA,
    initialBaseFeePerGas: 1_000_000_000n,
    initialParentBeaconBlockRoot: new Uint8Array(32),
    minGasPrice: 0n,
    mining: { autoMine: true, blockGasLimit: BLOCK_GAS, memPool: { order: edr.MineOrdering.Fifo } },
    network: { genesisBlockGasLimit: BLOCK_GAS },
    networkId: BigInt(chainId),
    observability: {},
    ownedAccounts: accounts.map(([, key]) => key),
    precompileOverrides: [],
  },
  { enable: false, decodeConsoleLogInputsCallback: () => [], printLineCallback: () => {} },
  { subscriptionCallback: () => {} },
  new edr.ContractDecoder(),
);

async function answer(request) {
  const { data } = await provider.handleRequest(JSON.stringify(request));
  const reply = typeof data === "string" ? JSON.parse(data) : data;
  return { ...reply, id: request.id ?? null };
}

const server = createServer(async (incoming, outgoing) => {
  const chunks = [];
  for await (const chunk of incoming) chunks.push(chunk);
  const body = JSON.parse(Buffer.concat(chunks).toString());
  const replies = [];
  for (const request of Array.isArray(body) ? body : [body]) replies.push(await answer(request));
  outgoing.setHeader("content-type", "application/json");
  outgoing.end(JSON.stringify(Array.isArray(body) ? replies : replies[0]));
});
server.listen(Number(port), "127.0.0.1", () =>
  console.log(JSON.stringify({ port: server.address().port })),
);
