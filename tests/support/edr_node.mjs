// Serves Hardhat's node (the EDR library) as JSON-RPC over HTTP on a free loopback port.
// Usage: node edr_node.mjs CHAIN_ID GENESIS_TIME [ADDRESS...], in a folder with node_modules.
// Each address gets 10,000 ether. Prints {"port": N} when it listens.
import { createRequire } from "node:module";
import { createServer } from "node:http";

const require = createRequire(`${process.cwd()}/`);
const edr = require("@nomicfoundation/edr");
const [chainId, genesisTime, ...addresses] = process.argv.slice(2);
const BLOCK_GAS = 60_000_000n;
const TRANSACTION_GAS = 16_777_216n; // EIP-7825
const BALANCE = 10_000n * 10n ** 18n;

const genesisState = edr.l1GenesisState(edr.l1HardforkFromString(edr.OSAKA));
for (const address of addresses) {
  const bytes = Uint8Array.from(Buffer.from(address.slice(2), "hex"));
  genesisState.push({ address: bytes, balance: BALANCE, code: new Uint8Array() });
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
    defaultTransactionGasLimit: TRANSACTION_GAS,
    genesisState,
    hardfork: edr.OSAKA,
    initialBaseFeePerGas: 1_000_000_000n,
    initialParentBeaconBlockRoot: new Uint8Array(32),
    minGasPrice: 0n,
    mining: { autoMine: true, blockGasLimit: BLOCK_GAS, memPool: { order: edr.MineOrdering.Fifo } },
    network: { genesisBlockGasLimit: BLOCK_GAS, genesisBlockTime: BigInt(genesisTime) },
    networkId: BigInt(chainId),
    observability: {},
    ownedAccounts: [],
    precompileOverrides: [],
    transactionGasCap: TRANSACTION_GAS,
  },
  { enable: false, decodeConsoleLogInputsCallback: () => [], printLineCallback: () => {} },
  { subscriptionCallback: () => {} },
  new edr.ContractDecoder(),
);

async function answer(request) {
  const { data } = await provider.handleRequest(JSON.stringify(request));
  const reply = typeof data === "string" ? JSON.parse(data) : data;
  return { jsonrpc: "2.0", ...reply, id: request.id ?? null };
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
server.listen(0, "127.0.0.1", () =>
  console.log(JSON.stringify({ port: server.address().port })),
);
