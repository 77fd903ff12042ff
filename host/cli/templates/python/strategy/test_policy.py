import unittest

import policy

CONFIG = {"keepSeconds": 60}


def decide(**changed):
    usual = {"step": 0, "reached": True, "promoted": False, "now": 0, "started": 0}
    return policy.decide(CONFIG, **{**usual, **changed})


class Policy(unittest.TestCase):
    def test_half_of_the_traffic_is_kept_for_the_configured_time(self):
        self.assertEqual(decide(reached=False), "half")
        self.assertEqual(decide(now=59_999), ("wait", 60_000))
        self.assertEqual(decide(now=60_000), "all")

    def test_a_user_may_promote_earlier(self):
        self.assertEqual(decide(promoted=True), "all")


if __name__ == "__main__":
    unittest.main()
