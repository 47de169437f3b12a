-- SPDX-License-Identifier: BSD-3-Clause
-- VXLAN pop (vxlan-pop.conf): what Pktgen sends is in the tunnel already, so it comes from a file.
-- Pktgen's port 0 is cabled to culvert's port1, its port 1 to culvert's port0:
--   scripts/pktgen/replay --write vxlan-pop.pcap vxlan-pop
--   pktgen -l 0-2 -a PCI0 -a PCI1 -- -P -m "1.0,2.1" -s 1:vxlan-pop.pcap -f scripts/pktgen/vxlan-pop.lua
package.path = package.path .. ";?.lua"
require "Pktgen"

local out, back = "1", "0"
local seconds = 10

pktgen.set(out, "count", 0)
pktgen.set(out, "rate", 100)
pktgen.set(out, "burst", 32)
pktgen.pcap(out, "on")

pktgen.clr()
pktgen.start(out)
pktgen.delay(seconds * 1000)
pktgen.stop(out)
pktgen.delay(1000)
local sent = pktgen.portStats(out, "port")[tonumber(out)].opackets
local got = pktgen.portStats(back, "port")[tonumber(back)].ipackets
printf("%.0f packets/s sent, %.0f came back, %.2f %% lost\n", sent / seconds, got / seconds, 100 * (1 - got / sent))
