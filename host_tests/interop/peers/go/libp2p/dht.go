package main

import (
	"context"
	"errors"

	"github.com/ipfs/go-cid"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
)

// table is the DHT of this node, a server; nil where it takes part in none.
var table *dht.IpfsDHT

func serveDHT(node host.Host) (err error) {
	table, err = dht.New(node, dht.Mode(dht.ModeServer))
	return err
}

// contentID is the name of some data, as a raw block.
func contentID(data string) (cid.Cid, error) {
	sum, err := multihash.Sum([]byte(data), multihash.SHA2_256, -1)
	return cid.NewCidV1(cid.Raw, sum), err
}

// obeyDHT does what concerns the DHT. Data is what is provided or looked for.
func obeyDHT(ctx context.Context, o order) (answer, error) {
	if table == nil {
		return nil, errors.New("this node takes part in no DHT")
	}
	switch o.Do {
	case "table":
		return answer{"peers": texts(table.RoutingTable().ListPeers())}, nil
	case "find":
		id, err := peer.Decode(o.Peer)
		if err != nil {
			return nil, err
		}
		found, err := table.FindPeer(ctx, id)
		var addrs []string
		for _, a := range found.Addrs {
			addrs = append(addrs, a.String())
		}
		return answer{"addrs": addrs}, err
	}
	key, err := contentID(o.Data)
	if err != nil {
		return nil, err
	}
	if o.Do == "provide" {
		return answer{"cid": key.String()}, table.Provide(ctx, key, true)
	}
	var all []peer.ID
	for found := range table.FindProvidersAsync(ctx, key, 20) {
		all = append(all, found.ID)
	}
	return answer{"cid": key.String(), "peers": texts(all)}, nil
}

func texts(ids []peer.ID) []string {
	all := []string{}
	for _, p := range ids {
		all = append(all, p.String())
	}
	return all
}
