"""Options of sampling reach the generators that have them."""

import torch

from graphtide.molecules.corpus import Corpus
from graphtide.molecules.flow_matching import FlowMatching, FlowMatchingExamples, Sampling
from graphtide.molecules.sampling import SamplingOptions


def test_options_reach_the_chain_and_the_others_stay_its_own() -> None:
    examples = FlowMatchingExamples(Corpus.from_smiles(["CCO", "CCN", "C1CC1"], workers=1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of these weights a part of the samples are molecules
        model = FlowMatching.for_examples(examples, width=16, pair_width=8, layers=1).eval()
    options = SamplingOptions(temperature=0.5, distortion=3.0, correct=False)
    made = options.sampler(model)(40, steps=4)
    told = model.sample(
        40, sampling=Sampling(steps=4, temperature=0.5, distortion=3.0, correct=False)
    )
    assert made.smiles == told.smiles
    assert any(made.smiles)
    own = SamplingOptions(correct=False).sampler(model)(40, steps=4)
    assert own.smiles == model.sample(40, sampling=Sampling(steps=4, correct=False)).smiles
    assert own.smiles != made.smiles
