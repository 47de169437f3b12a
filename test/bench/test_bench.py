# SPDX-License-Identifier: BSD-3-Clause
"""The bench's own arithmetic, parsing and printing; no program runs. scripts/test --unit runs it."""

import argparse
import array
import struct
import subprocess
import sys
import tempfile
import unittest
import unittest.mock
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import instructions
import laboratory
import main
import measuring
import packets
import plot
import report
import sampling
from catalogue import all_cases
from known import KNOWN
from laboratory import ROOT, Laboratory, spread

ABOUT = {
    "cpu": "A <CPU> & more", "cpus": 2, "tsc_hz": 2_600_000_000, "kernel": "6.1", "dpdk": "22.11", "hugepages": False,
    "commit": "abc", "date": "today",
}  # fmt: skip


def row(name, own, **more):
    made = {"name": name, "title": f"case {name}", "own": own, "net": own, "p10": own - 1, "p90": own + 1, "group": "push"}
    return {**made, "ratio": own / 30, "source": 10.0, "sink": 9.0, "mpps": 50.0, **more}


def named(name):
    return next(case for case in all_cases() if case.name == name)


class Figures(unittest.TestCase):
    def test_spread_is_the_median_and_the_outer_tenths(self):
        self.assertEqual(spread([5, 1, 4, 2, 3]), (3, 1, 5))
        self.assertEqual(spread(list(range(101))), (50, 10, 90))

    def test_a_quantile_lies_within_its_bin(self):
        counts = array.array("Q", [0, 10, 0, 30])
        self.assertAlmostEqual(sampling.quantile(counts, 40, 0.125), 1.5)
        self.assertAlmostEqual(sampling.quantile(counts, 40, 0.5), 3 + 1 / 3)

    def test_a_window_counts_what_came_between_two_looks(self):
        def look_at(packets_so_far, third_bin):
            rx = (packets_so_far, 0, 0, 0, 0, 5 * packets_so_far, packets_so_far, 20 * packets_so_far, packets_so_far, 0, 0)
            tx = (packets_so_far, 0, 0, 3 * packets_so_far, packets_so_far)
            return [(rx, array.array("Q", [0, 0, third_bin, 0]))], [tx]

        window = sampling.Window(look_at(100, 100), look_at(300, 300), 4, 200, 200, 12800)
        self.assertEqual((window.source, window.sink, window.mean), (5, 3, 20))
        self.assertAlmostEqual(window.median, 2.5 / 4)
        self.assertIsNone(sampling.Window(look_at(100, 100), look_at(100, 100), 4, 0, 0, 0).median)

    def test_statistics_are_complete_only_with_their_mark(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "port0")
            self.assertFalse(sampling.is_complete(file))
            for content, is_complete in ((b"", False), (bytes(64), False), (struct.pack("=Q", sampling.MAGIC), True)):
                file.write_bytes(content)
                self.assertEqual(sampling.is_complete(file), is_complete)


class Judging(unittest.TestCase):
    def judged(self, name, own, rows):
        made = row(name, own)
        measuring.judge(named(name), made, rows)
        return made

    def test_a_target_is_met_or_missed(self):
        self.assertTrue(self.judged("bridge", 22.0, {})["met"])
        self.assertFalse(self.judged("bridge", 22.1, {})["met"])

    def test_a_relative_target_needs_the_row_it_is_relative_to(self):
        self.assertNotIn("met", self.judged("bridge-1400", 22.0, {}))
        rows = {"bridge": row("bridge", 20.0)}
        self.assertAlmostEqual(self.judged("bridge-1400", 22.0, rows)["target"], 22.0)

    def test_learning_is_what_it_costs_beyond_bridging(self):
        self.assertEqual(self.judged("learn", 70.0, {"bridge-paced": row("bridge-paced", 20.0)})["net"], 50.0)

    def test_a_window_that_lost_or_changed_packets_is_no_figure(self):
        class Window:
            received, sent, sent_bytes, own = 1000, 1000, 64000, [[20, 19, 21]]

        measuring.check(named("bridge"), Window)
        for change in ({"sent": 900}, {"sent_bytes": 70000}, {"own": []}, {"received": 0}):
            with self.assertRaises(measuring.Wrong):
                measuring.check(named("bridge"), type("Other", (Window,), change))


class Cases(unittest.TestCase):
    def test_names_are_unique_and_what_they_refer_to_comes_before(self):
        seen = set()
        for case in all_cases():
            self.assertNotIn(case.name, seen)
            if isinstance(case.target, tuple):
                self.assertIn(case.target[0], seen)
            if case.beside:
                self.assertIn(case.beside, seen)
            seen.add(case.name)
        self.assertLessEqual(set(KNOWN), seen)

    def test_patterns_choose_cases_and_unknown_ones_are_refused(self):
        options = argparse.Namespace(cases="bridge-b*,pop", quick=False)
        names = [case.name for case in main.chosen(all_cases(), options)]
        self.assertEqual(names, ["bridge-b1", "bridge-b4", "bridge-b256", "pop"])
        options.cases = "learn"
        self.assertEqual([case.name for case in main.chosen(all_cases(), options)], ["bridge-paced", "learn"])
        options.cases = "pop,x*"
        with self.assertRaisesRegex(SystemExit, r"x\*"):
            main.chosen(all_cases(), options)

    def test_every_bound_on_record_is_of_a_counted_case(self):
        recorded = main.json.loads(instructions.RECORD.read_text())
        self.assertLessEqual(set(recorded), {case.name for case in all_cases() if case.instructions})

    def test_packets_have_right_checksums_and_a_pcap_holds_them(self):
        frame = named("push").packets()[0]
        self.assertEqual((len(frame), packets.checksum(frame[14:34])), (64, 0))
        with tempfile.TemporaryDirectory() as folder:
            packets.write_pcap(Path(folder, "one"), [frame])
            self.assertEqual(Path(folder, "one").read_bytes()[40:], frame)

    def test_callgrind_lines_of_calls_do_not_count_twice(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "callgrind.1").write_text("fn=(1) push\n1 10\ncfn=(2) pop\ncalls=3 5\n1 99\n+1 5\nfn=(2)\n* 7\n")
            self.assertEqual(instructions.self_costs(Path(folder)), {"push": 15, "pop": 7})


class Printing(unittest.TestCase):
    rows = [
        row("push", 40.0, target=35.0, met=False, known={"floor": 13, "vpp": 122, "ovs": 109}, memory_mb=90, memory_target_mb=100),
        row("ovs-push", 110.0, group="peer", beside="push"),
        {"name": "tcp", "title": "TCP", "gbits": 2.5},
    ]

    def test_a_line_has_the_peers_and_the_verdicts(self):
        line = report.line(self.rows[0])
        for words in ("122", "109", "missed by 14 %", "90 MB of 100 met"):
            self.assertIn(words, line)
        self.assertIn("2.50 Gbit/s", report.line(self.rows[2]))

    def test_comparison_gives_ratios_to_the_earlier_run(self):
        old = {"rows": [row("push", 50.0), row("gone", 1.0)]}
        text = report.compare(self.rows, old)
        self.assertIn("0.800", text)
        self.assertEqual(text.count("case "), 2)  # the head's and push's
        self.assertIn("none", report.compare(self.rows, {"rows": []}))

    def test_the_picture_is_xml_with_a_dot_a_row(self):
        tree = ElementTree.fromstring(plot.svg(self.rows, ABOUT))
        titles = [text.text for text in tree.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("case push", titles)
        right = float(tree.get("width"))
        for dot in tree.iter("{http://www.w3.org/2000/svg}circle"):
            self.assertTrue(0 < float(dot.get("cx")) < right)


class Leftovers(unittest.TestCase):
    def test_hugepages_are_given_back_and_missing_ones_are_said(self):
        with tempfile.TemporaryDirectory() as folder, unittest.mock.patch.object(laboratory, "HUGEPAGES", Path(folder)):
            number, free = Path(folder, "nr_hugepages"), Path(folder, "free_hugepages")
            number.write_text("7")
            free.write_text("500")
            with laboratory.hugepages_mb(1000):
                self.assertEqual(number.read_text(), "507")
            self.assertEqual(number.read_text(), "7")
            with self.assertRaisesRegex(RuntimeError, "1000 MB of 2000"), laboratory.hugepages_mb(2000):
                self.fail("it began")
            self.assertEqual(number.read_text(), "7")

    def test_nothing_is_left_behind_by_an_end_that_was_not_planned(self):
        with self.assertRaises(KeyboardInterrupt), Laboratory(ROOT / "build") as lab:
            folder = lab.folder
            self.assertTrue(folder.is_dir())
            raise KeyboardInterrupt
        self.assertFalse(folder.exists())

    def test_the_leavings_of_a_killed_run_go_with_the_next(self):
        ended = subprocess.Popen(["true"])
        ended.wait()
        base = Path("/dev/shm") if Path("/dev/shm").is_dir() else Path(tempfile.gettempdir())
        left = base / f"culvert-bench-{ended.pid}-test"
        left.mkdir()
        with Laboratory(ROOT / "build"):
            self.assertFalse(left.exists())


if __name__ == "__main__":
    sys.exit(0 if unittest.main(exit=False, verbosity=2).result.wasSuccessful() else 1)
