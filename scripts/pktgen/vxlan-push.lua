-- SPDX-License-Identifier: BSD-3-Clause
-- VXLAN push (vxlan-push.conf): frames to a station behind the tunnel.
-- Pktgen's port 0 is cabled to culvert's port1, its port 1 to culvert's port0:
--   pktgen -l 0-2 -a PCI0 -a PCI1 -- -P -m "1.0,2.1" -f scripts/pktgen/vxlan-push.lua
package.path = package.path .. ";?.lua"
require "Pktgen"

local out, back = "0", "1"
local seconds = 10

-- One address pair, 1,024 flows: the UDP source port runs.
local function range(field, first, step, last)
    pktgen.range[field](out, "start", first)
    pktgen.range[field](out, "inc", step)
    pktgen.range[field](out, "min", first)
    pktgen.range[field](out, "max", last)
end

pktgen.set(out, "count", 0)
pktgen.set(out, "rate", 100)
pktgen.set(out, "burst", 32)
pktgen.range.dst_mac(out, "start", "02:00:0b:00:00:00")
pktgen.range.src_mac(out, "start", "02:00:0a:00:00:00")
range("src_ip", "10.42.0.1", "0.0.0.0", "10.42.0.1")
range("dst_ip", "10.42.0.2", "0.0.0.0", "10.42.0.2")
range("src_port", 1024, 1, 2047)
range("dst_port", 2000, 0, 2000)
range("pkt_size", 64, 0, 64)
pktgen.range.ip_proto(out, "udp")
pktgen.set_range(out, "on")

pktgen.clr()
pktgen.start(out)
pktgen.delay(seconds * 1000)
pktgen.stop(out)
pktgen.delay(1000)
local sent = pktgen.portStats(out, "port")[tonumber(out)].opackets
local got = pktgen.portStats(back, "port")[tonumber(back)].ipackets
printf("%.0f packets/s sent, %.0f came back, %.2f %% lost\n", sent / seconds, got / seconds, 100 * (1 - got / sent))
