# SPDX-License-Identifier: Apache-2.0
from itertools import pairwise
import random
import re
import shutil
import sqlite3

from hypothesis import given, HealthCheck, settings, strategies as st
from mcap.writer import CompressionType, Writer as McapWriter
import numpy as np
import pytest
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer as Writer2

from vpr_ros.bags import wire
from vpr_ros.bags.frames import FrameCount, read_frames
from vpr_ros.bags.recording import Recording
from vpr_ros.bags.trajectory import read_trajectory
from vpr_ros.bags.writer import BagWriter
from vpr_ros.core.pose import IDENTITY
from vpr_ros.errors import BagError

STORAGES = ('mcap', 'sqlite3', 'rosbag1')
S = 1_000_000_000
T0 = 1_700_000_000 * S


def contents(path, salvage=False):
    """Return everything in a bag: (topic, moment of recording) -> bytes."""
    with Recording(path, salvage) as recording:
        return {(m.topic, m.record_ns): bytes(m.data)
                for m in recording.messages(recording.topics)}


def saved_from(path):
    """Return what is saved of a bag, nothing where salvage says that there is nothing."""
    try:
        return contents(path, salvage=True)
    except BagError as error:
        if 'not one message can be saved' not in str(error):
            raise
        return {}


@pytest.fixture(scope='module', params=STORAGES)
def original(request, tmp_path_factory):
    """A bag of several chunks and trees of pages, by storage: path, data file, messages."""
    folder = tmp_path_factory.mktemp('original')
    path = folder / ('run.bag' if request.param == 'rosbag1' else 'run')
    noise = np.random.default_rng(0)
    with BagWriter(path, request.param) as bag:
        for index in range(150):
            stamp_ns = T0 + index * S // 10
            bag.image('/cam', stamp_ns, noise.integers(0, 256, (60, 80, 3), np.uint8))
            bag.pose_stamped('/pose', stamp_ns, IDENTITY)
    file = path if path.is_file() else next(p for p in path.iterdir() if p.suffix != '.yaml')
    return path, file, contents(path)


@pytest.fixture
def damaged(original, tmp_path):
    """Return a function that makes a copy of the bag with other bytes in its data file."""
    path, file, _ = original

    def copy(data):
        target = tmp_path / path.name
        if path.is_dir():
            target.mkdir(exist_ok=True)
            shutil.copy(path / 'metadata.yaml', target)
            (target / file.name).write_bytes(data)
        else:
            target.write_bytes(data)
        return target
    return copy


def test_every_cut_is_refused_and_its_beginning_saved(original, damaged):
    _, file, messages = original
    whole = file.read_bytes()
    chance = random.Random(0)
    cuts = sorted({0, 1, 12, 100, 4096, 5000, len(whole) - 1, len(whole) - 40,
                   *(chance.randrange(len(whole)) for _ in range(25))})
    order = sorted(messages, key=lambda key: key[1])
    saved_before = 0
    for cut in cuts:
        bag = damaged(whole[:cut])
        with pytest.raises(BagError, match='--salvage'):
            contents(bag)
        saved = saved_from(bag)
        assert saved.items() <= messages.items(), cut
        # What was written first is there: at most the last few messages of what is left are gone.
        assert set(order[:max(len(saved) - 4, 0)]) <= set(saved), cut
        assert len(saved) >= 0.9 * cut / len(whole) * len(messages) - 4, cut
        assert len(saved) >= saved_before
        saved_before = len(saved)
    assert saved_before >= len(messages) - 4


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1, exclude_max=True))
def test_a_cut_anywhere_is_a_bag_error_or_a_part(original, damaged, cut):
    _, file, messages = original
    whole = file.read_bytes()
    bag = damaged(whole[:int(cut * len(whole))])
    with pytest.raises(BagError):
        contents(bag)
    assert saved_from(bag).items() <= messages.items()


def test_the_report_says_how_many_were_saved(original, damaged):
    path, file, _ = original
    whole = file.read_bytes()
    with Recording(damaged(whole[:len(whole) // 2]), salvage=True) as recording:
        (report,) = recording.reports
        count = sum(topic.count for topic in recording.topics.values())
    assert 100 < report.messages == count < 200
    assert report.expected == (None if path.is_file() else 300)
    assert re.search(rf'run(\.bag)?: {count}( of 300)? messages; .*(cut short|cannot be opened)',
                     str(report))


def test_a_whole_bag_is_read_as_usual(original):
    path, _, messages = original
    assert contents(path, salvage=True) == messages
    with Recording(path, salvage=True) as recording:
        (report,) = recording.reports
    assert (report.messages, report.expected, report.problem) == (300, 300, '')
    assert str(report).endswith('300 of 300 messages; nothing is missing')


def test_saved_frames_and_poses_are_used(original, damaged):
    _, file, _ = original
    whole = file.read_bytes()
    count = FrameCount()
    with Recording(damaged(whole[:len(whole) // 2]), salvage=True) as recording:
        frames = list(read_frames(recording, '/cam', 'front', count))
        trajectory = read_trajectory(recording, '/pose')
        late = list(recording.messages(['/pose'], T0 + S, T0 + 2 * S))
    assert 50 < len(frames) < 100
    assert count.skipped == 0
    assert all(a.stamp_ns < b.stamp_ns for a, b in pairwise(frames))
    assert len(trajectory.stamps_ns) > 50
    assert [m.stamp_ns for m in late] == [T0 + S + i * S // 10 for i in range(10)]


@pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])
def test_a_folder_without_metadata_was_not_finished(drive, storage):
    bag = drive(storage)
    messages = contents(bag.path)
    (bag.path / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match=r'has no metadata.yaml: .*--salvage'):
        contents(bag.path)
    assert contents(bag.path, salvage=True) == messages
    assert contents(bag.file) == messages


@pytest.mark.parametrize('text', [
    '', 'rosbag2_bagfile_information: {}', 'a: [', '\x00\x01', 'rosbag2_bagfile_information: 3',
    '- 1', 'rosbag2_bagfile_information: {version: 99}'])
def test_damaged_metadata_is_refused_and_salvaged(drive, text):
    bag = drive()
    messages = contents(bag.path)
    (bag.path / 'metadata.yaml').write_text(text)
    with pytest.raises(BagError, match='cannot be opened .*--salvage'):
        contents(bag.path)
    assert contents(bag.path, salvage=True) == messages


def test_one_file_of_several_that_is_gone(drive):
    bag = drive()
    metadata = bag.path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('- run.mcap\n', '- run.mcap\n  - b.mcap\n'))
    with pytest.raises(BagError, match=r'missing.*b\.mcap.*--salvage'):
        contents(bag.path)
    assert len(contents(bag.path, salvage=True)) == 40


def test_fewer_than_promised_are_used_with_a_report(drive):
    bag = drive('sqlite3')
    metadata = bag.path / 'metadata.yaml'
    metadata.write_text(metadata.read_text().replace('message_count: 40', 'message_count: 50')
                        .replace('message_count: 20', 'message_count: 25'))
    with Recording(bag.path, salvage=True) as recording:
        (report,) = recording.reports
    assert (report.messages, report.expected) == (40, 50)
    assert 'promises 25' in report.problem


def test_flipped_bits_are_bag_errors_or_read(original, damaged):
    """Mostly where they hurt: what is no picture is a small part of the file."""
    _, file, _ = original
    whole = file.read_bytes()
    chance = random.Random(1)
    hot = [*range(200), *range(4096, 4600), *range(len(whole) - 3000, len(whole))]
    for _ in range(80):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 2, 8))):
            at = chance.choice(hot) if chance.random() < 0.8 else chance.randrange(len(data))
            data[at] ^= 1 << chance.randrange(8)
        bag = damaged(bytes(data))
        for salvage in (False, True):
            try:
                with Recording(bag, salvage) as recording:
                    for _, _ in recording.decoded(recording.topics):
                        pass
            except BagError:
                pass


@pytest.mark.parametrize('storage', STORAGES)
def test_small_bags_of_structure_only_with_flipped_bits(tmp_path, storage):
    path = tmp_path / ('run.bag' if storage == 'rosbag1' else 'run')
    with BagWriter(path, storage) as bag:
        for index in range(12):
            bag.pose_stamped('/pose', T0 + index, IDENTITY)
            bag.tf(T0 + index, [('map', 'base_link', IDENTITY)])
    file = path if path.is_file() else next(p for p in path.iterdir() if p.suffix != '.yaml')
    whole = file.read_bytes()
    chance = random.Random(2)
    for _ in range(100):
        data = bytearray(whole)
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        for salvage in (False, True):
            for source in ('/pose', 'tf'):
                try:
                    with Recording(path, salvage) as recording:
                        read_trajectory(recording, source)
                except BagError:
                    pass


@pytest.mark.parametrize('compression', list(CompressionType))
@pytest.mark.parametrize('chunked', [True, False])
def test_mcap_files_of_another_writer(tmp_path, drive, compression, chunked):
    """With checksums, compression, and without chunks, as rosbag2's own plugin may write them."""
    messages = contents(drive('mcap', count=40).path)
    file = tmp_path / 'other.mcap'
    with file.open('wb') as stream:
        writer = McapWriter(stream, chunk_size=20_000, compression=compression,
                            use_chunking=chunked)
        writer.start('ros2', 'test')
        channels = {}
        for topic, msgtype in (('/cam', wire.IMAGE), ('/odom', wire.ODOMETRY)):
            definition, _ = wire.typestore(False).generate_msgdef(msgtype, ros_version=2)
            schema = writer.register_schema(msgtype, 'ros2msg', definition.encode())
            channels[topic] = writer.register_channel(topic, 'cdr', schema)
        for (topic, record_ns), data in messages.items():
            writer.add_message(channels[topic], record_ns, data, record_ns)
        writer.finish()
    assert contents(file) == messages
    whole = file.read_bytes()
    for part in (0.3, 0.6, 0.95):
        file.write_bytes(whole[:int(part * len(whole))])
        with pytest.raises(BagError, match='--salvage'):
            contents(file)
        saved = contents(file, salvage=True)
        assert saved.items() <= messages.items()
        assert len(saved) > (part - 0.3) * len(messages)


def test_a_chunk_with_a_wrong_checksum_is_left_out(tmp_path, drive):
    messages = contents(drive('mcap', count=40).path)
    file = tmp_path / 'other.mcap'
    with file.open('wb') as stream:
        writer = McapWriter(stream, chunk_size=20_000, compression=CompressionType.NONE)
        writer.start('ros2', 'test')
        schema = writer.register_schema(wire.IMAGE, 'ros2msg', b'')
        channel = writer.register_channel('/cam', 'cdr', schema)
        images = {key: data for key, data in messages.items() if key[0] == '/cam'}
        for (_, record_ns), data in images.items():
            writer.add_message(channel, record_ns, data, record_ns)
        writer.finish()
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    with pytest.raises(BagError, match='checksum mismatch.*--salvage'):
        contents(file)
    saved = contents(file, salvage=True)
    assert saved.items() < images.items()
    assert len(saved) > 0.7 * len(images)
    with Recording(file, salvage=True) as recording:
        assert 'checksum mismatch' in str(recording.reports[0])


@pytest.mark.parametrize('compression', [None, 'BZ2', 'LZ4'])
def test_a_ros1_bag_that_was_never_indexed(tmp_path, compression):
    """A recorder that was killed leaves index_pos 0 and no index, and calls the file .active."""
    file = tmp_path / 'run.bag'
    store = wire.typestore(True)
    with BagWriter(tmp_path / 'donor.bag', 'rosbag1') as bag:
        for index in range(40):
            bag.image('/cam', T0 + index, np.full((60, 80, 3), index, np.uint8))
    messages = contents(tmp_path / 'donor.bag')
    writer = Writer1(file)
    writer.chunk_threshold = 50_000
    if compression:
        writer.set_compression(Writer1.CompressionFormat[compression])
    with writer:
        connection = writer.add_connection('/cam', wire.IMAGE, typestore=store)
        for (_, record_ns), data in messages.items():
            writer.write(connection, record_ns, data)
    assert contents(file) == messages
    whole = bytearray(file.read_bytes())
    index_at = int.from_bytes(whole[(at := whole.index(b'index_pos=') + 10):at + 8], 'little')
    whole[at:at + 8] = bytes(8)
    active = tmp_path / 'run.bag.active'
    active.write_bytes(whole[:index_at])
    with pytest.raises(BagError, match=r'still being recorded, or its recorder was killed'):
        contents(active)
    assert contents(active, salvage=True) == messages
    active.rename(file)
    with pytest.raises(BagError, match='not indexed.*--salvage'):
        contents(file)
    assert contents(file, salvage=True) == messages


def test_a_write_ahead_log_is_read(tmp_path, drive):
    """What rosbag2's `resilient` preset leaves behind when the power goes."""
    bag = drive('sqlite3', count=30)
    messages = contents(bag.path)
    live = sqlite3.connect(tmp_path / 'live.db3')
    live.execute('PRAGMA journal_mode=WAL')
    live.execute('PRAGMA wal_autocheckpoint=0')
    live.execute('ATTACH ? AS donor', (str(bag.file),))
    tables = live.execute('SELECT sql FROM donor.sqlite_master WHERE sql NOT NULL').fetchall()
    for (sql,) in tables:
        live.execute(sql)
    for table in ('schema', 'topics', 'message_definitions', 'messages'):
        live.execute(f'INSERT INTO {table} SELECT * FROM donor.{table}')
    live.commit()
    for suffix in ('', '-wal'):  # before the connection closes and cleans up
        shutil.copy(tmp_path / f'live.db3{suffix}', tmp_path / f'copy.db3{suffix}')
    live.close()
    with pytest.raises(BagError, match=r'copy.db3-wal holds messages that never reached'):
        contents(tmp_path / 'copy.db3')
    assert contents(tmp_path / 'copy.db3', salvage=True) == messages


@pytest.mark.parametrize(('storage', 'mode'), [
    ('MCAP', CompressionMode.MESSAGE), ('MCAP', CompressionMode.FILE),
    ('SQLITE3', CompressionMode.MESSAGE), ('SQLITE3', CompressionMode.FILE)])
def test_compressed_bags_are_salvaged(tmp_path, drive, storage, mode):
    messages = contents(drive('mcap', count=300).path)  # zstd packs 128 kB at a time
    store = wire.typestore(False)
    path = tmp_path / 'packed'
    writer = Writer2(path, version=8, storage_plugin=StoragePlugin[storage])
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections = {topic: writer.add_connection(topic, msgtype, typestore=store)
                       for topic, msgtype in (('/cam', wire.IMAGE), ('/odom', wire.ODOMETRY))}
        for (topic, record_ns), data in messages.items():
            writer.write(connections[topic], record_ns, data)
    assert contents(path) == messages
    (file,) = (p for p in path.iterdir() if p.suffix != '.yaml')
    whole = file.read_bytes()
    file.write_bytes(whole[:int(0.7 * len(whole))])
    with pytest.raises(BagError, match='--salvage'):
        contents(path)
    saved = contents(path, salvage=True)
    assert saved.items() <= messages.items()
    assert len(saved) > 100
    flipped = bytearray(whole)
    chance = random.Random(3)
    for _ in range(200):
        flipped[chance.randrange(len(whole) // 10, len(whole))] ^= 1
    file.write_bytes(flipped)
    with pytest.raises(BagError, match='--salvage'):
        contents(path)
    saved_from(path)  # whatever it is, it is no crash


def test_damaged_poses_are_left_out_of_a_salvaged_bag(tmp_path, drive):
    bag = drive('sqlite3')
    connection = sqlite3.connect(bag.file)
    connection.execute('UPDATE messages SET data = substr(data, 1, 30) WHERE id = 2')
    connection.commit()
    connection.close()
    with Recording(bag.path) as recording, pytest.raises(BagError, match='is damaged'):
        read_trajectory(recording, '/odom')
    with Recording(bag.path, salvage=True) as recording:
        assert len(read_trajectory(recording, '/odom').stamps_ns) == 19
        assert recording.damaged == {'/odom': 1}
