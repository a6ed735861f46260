// A real Ethereum node on loopback: one block a second from a simulated beacon chain, all in memory.
//
//	peer -p2p 127.0.0.1:30303 -http 8545 -faucet ADDRESS
//
// It dials nobody by itself. A line of JSON on standard output tells its enode URL when it is ready.
package main

import (
	"encoding/json"
	"flag"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	p2pAt := flag.String("p2p", "127.0.0.1:0", "where it listens for peers, TCP and UDP")
	http := flag.Int("http", 0, "port of its RPC")
	faucet := flag.String("faucet", "", "an address that owns ether from the beginning")
	period := flag.Uint64("period", 1, "seconds between blocks")
	flag.Parse()

	config := node.DefaultConfig
	config.DataDir = ""
	config.HTTPHost = "127.0.0.1"
	config.HTTPPort = *http
	config.HTTPModules = []string{"eth", "net", "admin", "txpool"}
	config.AuthPort = 0
	config.IPCPath = ""
	config.P2P = p2p.Config{
		ListenAddr:  *p2pAt,
		MaxPeers:    50,
		NoDial:      false,
		DiscoveryV4: true,
		DiscoveryV5: false,
	}
	stack, err := node.New(&config)
	must(err)

	settings := ethconfig.Defaults
	rich := common.HexToAddress(*faucet)
	settings.Genesis = core.DeveloperGenesisBlock(30_000_000, &rich)
	settings.NetworkId = 1337
	settings.SyncMode = ethconfig.FullSync
	backend, err := eth.New(stack, &settings)
	must(err)
	must(stack.Start())
	beacon, err := catalyst.NewSimulatedBeacon(*period, common.Address{}, backend)
	must(err)
	must(beacon.Start())

	_, port, _ := net.SplitHostPort(stack.Server().ListenAddr)
	number, _ := strconv.Atoi(port)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"enode": stack.Server().Self().URLv4(), "port": number, "genesis": backend.BlockChain().Genesis().Hash().Hex(),
	}))
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	<-ended
	must(beacon.Stop())
	must(stack.Close())
}
