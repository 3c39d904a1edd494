# SPDX-License-Identifier: Apache-2.0
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
import sys
import threading

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed')

from vpr_ros.errors import ModelError  # noqa: E402
from vpr_ros.nets.layouts import LAYOUTS  # noqa: E402
from vpr_ros.nets.model_folder import load_describer  # noqa: E402
from vpr_ros.tools.cli import main  # noqa: E402
from vpr_ros.tools.fetch_model import fetch_model, models_table  # noqa: E402
from vpr_ros.tools.model_commands import model_fetch, parse_size  # noqa: E402
from vpr_ros.tools.public_models import (  # noqa: E402
    NAMED_ONLY,
    public_model,
    PUBLIC_MODELS,
    PublicModel,
)

pytestmark = pytest.mark.filterwarnings('ignore:Cyclopts application invoked')
SIDE_PX = 64


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope='module')
def published():
    """Others' layouts and formulas, written down for the tests of nets."""
    path = Path(__file__).resolve().parents[1] / 'nets' / 'published.py'
    spec = spec_from_file_location('published', path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def shelf(tmp_path_factory):
    """A folder that a server on loopback offers, and its address."""
    folder = tmp_path_factory.mktemp('shelf')
    with ThreadingHTTPServer(('127.0.0.1', 0), lambda *args: Quiet(
            *args, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.01})
        thread.start()
        yield folder, f'http://127.0.0.1:{server.server_address[1]}'
        server.shutdown()
        thread.join()


@pytest.fixture
def offered(shelf, monkeypatch):
    """Put a checkpoint on the shelf and return its row of the table."""
    monkeypatch.setenv('no_proxy', '*')

    def offered(state, dim=16, layout='cosplace', own_size=True):
        folder, address = shelf
        (folder / 'net.pth').write_bytes(b'') if state is None else torch.save(
            state, folder / 'net.pth')
        return PublicModel(f'{layout}-resnet18-{dim}', f'{address}/net.pth', layout, 'MIT', dim,
                           'https://example.org', own_size)
    return offered


@pytest.fixture(scope='module')
def cosplace(published):
    head = published.Weights(1)
    head.linear('aggregation.3', 512, 16)
    trunk = published.resnet('resnet18')
    return trunk, {**published.renamed(trunk, lambda child: 'backbone.'
                                       + published.child_number(child)),
                   'aggregation.1.p': torch.tensor([2.5]), **head}


def test_from_a_name_to_a_describer_without_torch(offered, published, cosplace, tmp_path):
    trunk, state = cosplace
    out, kept = tmp_path / 'model', tmp_path / 'kept'
    card = fetch_model(offered(state), out, size=(SIDE_PX, SIDE_PX), downloads=kept)
    assert (card.name, card.dim, card.licence) == ('cosplace-resnet18-16', 16, 'MIT')
    assert sorted(file.name for file in kept.iterdir()) == [
        'cosplace-resnet18-16.pth', 'cosplace-resnet18-16.pth.sha256']
    image = np.random.default_rng(0).integers(0, 256, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255.0
    pre = card.preprocessing
    pixels = (pixels - torch.tensor(pre.mean)[:, None, None]) / torch.tensor(
        pre.std)[:, None, None]
    with torch.no_grad():
        wanted = published.gem(published.resnet_map(trunk, pixels), 2.5, before=True, linear=(
            state['aggregation.3.weight'], state['aggregation.3.bias']))
    got = load_describer(out, 1, 'onnxruntime').describe([image])
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_what_is_wrong_is_said_before_the_download(offered, tmp_path):
    row = offered(None)
    with pytest.raises(ModelError, match='runs at the size that the images have'):
        fetch_model(row, tmp_path / 'model', downloads=tmp_path / 'kept')
    (tmp_path / 'model').mkdir()
    with pytest.raises(ModelError, match='exists already'):
        fetch_model(row, tmp_path / 'model', size=(64, 64), downloads=tmp_path / 'kept')
    assert not (tmp_path / 'kept').exists()


def test_another_network_than_the_table_says_is_refused(offered, cosplace, tmp_path):
    with pytest.raises(ModelError, match='gives 16 dimensions, not 32; it is another network'):
        fetch_model(offered(cosplace[1], dim=32), tmp_path / 'model', size=(64, 64),
                    downloads=tmp_path / 'kept')
    assert not (tmp_path / 'model').exists()


def test_a_page_instead_of_a_file_is_not_kept(shelf, offered, tmp_path):
    row = offered(None)
    (shelf[0] / 'net.pth').write_text('<!DOCTYPE html><html>sign in</html>')
    with pytest.raises(ModelError, match='it is a web page'):
        fetch_model(row, tmp_path / 'model', size=(64, 64), downloads=tmp_path / 'kept')
    assert list((tmp_path / 'kept').iterdir()) == []


def test_a_file_that_has_gone_is_said_with_the_command_that_imports_it(offered, tmp_path, shelf):
    row = offered(None)
    (shelf[0] / 'net.pth').unlink()
    with pytest.raises(ModelError, match=(
            r'answers 404 .*; bring net\.pth from https://example\.org on another way, then: vpr '
            r'model import net\.pth --layout cosplace --out .*model --size 48x64')):
        fetch_model(row, tmp_path / 'model', size=(48, 64), downloads=tmp_path / 'kept')


def test_the_table_holds_together():
    for name, model in PUBLIC_MODELS.items():
        assert name == model.name
        assert model.layout in LAYOUTS
        assert model.url.startswith(f'{model.page}/releases/download/')
        assert str(model.dim) in model.file_name
        assert model.licence == 'MIT'
    assert len({model.url for model in PUBLIC_MODELS.values()}) == len(PUBLIC_MODELS) == 44
    for named in NAMED_ONLY:
        assert named.layout in ('', *LAYOUTS)
    assert models_table().row_count == 10 + len(NAMED_ONLY)
    assert public_model('eigenplaces-vgg16-512').url == (
        'https://github.com/gmberton/EigenPlaces/releases/download/v1.0/VGG16_512_eigenplaces.pth')
    with pytest.raises(ModelError, match='there are cosplace-vgg16-64, cosplace-vgg16-128'):
        public_model('cosplace-vgg16-63')
    with pytest.raises(ModelError, match='without a name lists'):
        public_model('salad')


@pytest.mark.parametrize(('text', 'size'), [('', None), ('320', (320, 320)),
                                            ('480x640', (480, 640)), ('32X64', (32, 64))])
def test_a_size_is_height_by_width(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize('text', ['x', '12x', '1x2x3', '-3', '3.5', '12*13', '²'])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ModelError, match=r'480x640 \(height x width\) or 320, not'):
        parse_size(text)


@pytest.mark.parametrize(('words', 'said'), [
    ('import F --out O', '--backbone, --cut, --aggregator; a network for place recognition needs'),
    ('import F --out O --layout boq --cut layer3', '--cut: a file in the layout boq says that'),
    ('import F --out O --layout boq', 'there is no file F'),
    ('import F --out O --layout boq --size 0', 'there is no file F'),
    ('import F --out O --layout boq --grid 0', 'has no cells'),
    ('import F --out O --layout boq --resize nearest', 'area'),
    ('import F --out O --backbone vgg11 --cut a --aggregator gem', 'there is no file F'),
    ('fetch nothing --out O', 'no public model'),
    ('fetch boq-resnet50-16384', 'pass --out'),
])
def test_what_the_user_can_mend_is_said(words, said, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'argv', ['vpr', 'model', *words.split()])
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 2
    assert said in capsys.readouterr().err


def test_without_torch_it_is_said_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr('vpr_ros.tools.model_commands.find_spec', lambda name: None)
    for words in ('import F --out O --layout boq', 'fetch boq-resnet50-16384 --out O'):
        monkeypatch.setattr(sys, 'argv', ['vpr', 'model', *words.split()])
        with pytest.raises(SystemExit):
            main()
        assert 'torch is needed' in capsys.readouterr().err


def test_a_list_needs_no_torch(monkeypatch, capsys):
    monkeypatch.setattr('vpr_ros.tools.model_commands.find_spec', lambda name: None)
    model_fetch()
    assert 'boq-resnet50' in capsys.readouterr().out
