// A key-value application that proves what it answers: ABCI on a socket, for `cometbft node --proxy_app tcp://...`. A
// transaction is name=value. Its hash is the Merkle root of the names in order, each with the hash of its value. The path
// /key gives proofs of CometBFT's own kind; /ics23 those of the Cosmos SDK's, also that a name is not there, each checked by
// ics23's own library before it goes out.
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
	ics23 "github.com/cosmos/ics23/go"
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
	if request.Path == "/ics23" {
		answer.Value = value
		proof, err := s.commitment(string(request.Data)).Marshal()
		op := crypto.ProofOp{Type: "ics23:simple", Key: request.Data, Data: proof}
		answer.ProofOps = &crypto.ProofOps{Ops: []crypto.ProofOp{op}}
		return answer, err
	}
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

// A proof that a name has its value or, where there is none, stands between its neighbors.
func (s *store) commitment(name string) *ics23.CommitmentProof {
	root, proofs := s.tree()
	if value, found := s.values[name]; found {
		proof := &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Exist{Exist: s.exists(name, proofs)}}
		if !ics23.VerifyMembership(ics23.TendermintSpec, root, proof, []byte(name), value) {
			panic("no proof")
		}
		return proof
	}
	absent := &ics23.NonExistenceProof{Key: []byte(name)}
	left, right := "", ""
	for other := range s.values {
		if other < name && other > left {
			left = other
		}
		if other > name && (right == "" || other < right) {
			right = other
		}
	}
	if left != "" {
		absent.Left = s.exists(left, proofs)
	}
	if right != "" {
		absent.Right = s.exists(right, proofs)
	}
	proof := &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Nonexist{Nonexist: absent}}
	if !ics23.VerifyNonMembership(ics23.TendermintSpec, root, proof, []byte(name)) {
		panic("no proof")
	}
	return proof
}

func (s *store) exists(name string, proofs map[string]*merkle.Proof) *ics23.ExistenceProof {
	proof := proofs[name]
	steps := make([]*ics23.InnerOp, len(proof.Aunts))
	index, total := proof.Index, proof.Total
	for i := len(steps) - 1; i >= 0; i-- { // from the root, where the left side has the largest power of two below the size
		half := int64(1)
		for half*2 < total {
			half *= 2
		}
		steps[i] = &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: []byte{1}}
		if index < half {
			steps[i].Suffix, total = proof.Aunts[i], half
		} else {
			steps[i].Prefix, index, total = append([]byte{1}, proof.Aunts[i]...), index-half, total-half
		}
	}
	leaf := ics23.TendermintSpec.LeafSpec
	return &ics23.ExistenceProof{Key: []byte(name), Value: s.values[name], Leaf: leaf, Path: steps}
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
