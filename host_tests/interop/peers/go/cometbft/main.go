// A key-value application that proves what it answers: ABCI on a socket, for `cometbft node --proxy_app tcp://...`. A
// transaction is name=value. Its hash is the Merkle root of the names in order, each with the hash of its value.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"os/signal"
	"sort"
	"syscall"

	"github.com/cometbft/cometbft/abci/server"
	"github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/merkle"
	"github.com/cometbft/cometbft/crypto/tmhash"
	"github.com/cometbft/cometbft/proto/tendermint/crypto"
)

type store struct {
	types.BaseApplication
	values map[string][]byte
	height int64
}

func sized(parts ...[]byte) []byte {
	var out []byte
	for _, part := range parts {
		out = binary.AppendUvarint(out, uint64(len(part)))
		out = append(out, part...)
	}
	return out
}

// The root, and by name the proof.
func (s *store) tree() ([]byte, map[string]*merkle.Proof) {
	var names []string
	for name := range s.values {
		names = append(names, name)
	}
	sort.Strings(names)
	var leaves [][]byte
	for _, name := range names {
		leaves = append(leaves, sized([]byte(name), tmhash.Sum(s.values[name])))
	}
	root, proofs := merkle.ProofsFromByteSlices(leaves)
	byName := map[string]*merkle.Proof{}
	for i, name := range names {
		byName[name] = proofs[i]
	}
	return root, byName
}

func (s *store) FinalizeBlock(_ context.Context, request *types.RequestFinalizeBlock) (*types.ResponseFinalizeBlock, error) {
	results := make([]*types.ExecTxResult, len(request.Txs))
	for i, tx := range request.Txs {
		results[i] = &types.ExecTxResult{}
		if name, value, found := bytes.Cut(tx, []byte("=")); found {
			s.values[string(name)] = value
		} else {
			results[i].Code = 1
		}
	}
	s.height = request.Height
	root, _ := s.tree()
	return &types.ResponseFinalizeBlock{TxResults: results, AppHash: root}, nil
}

func (s *store) Query(_ context.Context, request *types.RequestQuery) (*types.ResponseQuery, error) {
	answer := &types.ResponseQuery{Key: request.Data, Height: s.height}
	value, found := s.values[string(request.Data)]
	if !found {
		answer.Log = "does not exist"
		return answer, nil
	}
	answer.Value = value
	if request.Prove {
		_, proofs := s.tree()
		op := merkle.NewValueOp(request.Data, proofs[string(request.Data)]).ProofOp()
		answer.ProofOps = &crypto.ProofOps{Ops: []crypto.ProofOp{op}}
	}
	return answer, nil
}

func main() {
	listening, err := server.NewServer(os.Args[1], "socket", &store{values: map[string][]byte{}})
	if err == nil {
		err = listening.Start()
	}
	if err != nil {
		panic(err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	<-stop
}
